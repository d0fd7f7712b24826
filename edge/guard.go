package edge

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic that reached the boundary of a task.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Guard returns f with its panics as errors. A goroutine that a task starts is outside the supervisor's border, and a panic there would
// end the process: it runs guarded, ends its group with the error, and so the task.
func Guard(f func() error) func() error {
	return func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{v, debug.Stack()}
			}
		}()
		return f()
	}
}
