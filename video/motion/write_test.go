package motion

import (
	"testing"
	"testing/synctest"
	"time"
)

// The time is over just as the write ends: the deadline is on its way, and must not come over the next write.
func TestLimitThatFiresAsTheWriteEndsIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deadline time.Time
		hold := make(chan struct{})
		l := limit{set: func(d time.Time) error {
			<-hold
			deadline = d
			return nil
		}}
		l.start()
		l.start()
		time.Sleep(writeLimit) // the timer has fired, and is held
		synctest.Wait()
		stopped := make(chan struct{})
		go func() {
			l.stop()
			close(stopped)
		}()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("the write ended before its limit had")
		default:
		}
		close(hold)
		synctest.Wait()
		<-stopped
		if deadline.IsZero() {
			t.Error("the limit did nothing")
		}
	})
}

func TestLimitThatIsStoppedSetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit{set: func(time.Time) error { t.Error("a deadline is set after the write"); return nil }}
		l.stop() // nothing had to wait
		l.start()
		time.Sleep(writeLimit - 1)
		l.stop()
		time.Sleep(writeLimit)
	})
}
