package edge

import "context"

type beatKey struct{}

// WithBeat gives ctx the function that Beat calls; the supervisor does so for tasks that must show that they are alive.
func WithBeat(ctx context.Context, beat func()) context.Context {
	return context.WithValue(ctx, beatKey{}, beat)
}

// Beat tells the supervisor that the task of ctx is alive and getting on. The hardware watchdog is kicked only while
// every vital task beats in time. Without a supervisor it does nothing.
func Beat(ctx context.Context) {
	if f, ok := ctx.Value(beatKey{}).(func()); ok {
		f()
	}
}
