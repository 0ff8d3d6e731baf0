package stream

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// lateRedis is an empty Redis with the clock of the bubble, whose replies are late. It
// notes behind which place nothing is asked for.
type lateRedis struct {
	late   time.Duration
	latest id
}

func (r *lateRedis) run(_ context.Context, commands ...command) error {
	for _, c := range commands {
		switch c.Args()[0] {
		case "time":
			now := time.Now()
			seconds := strconv.FormatInt(now.Unix(), 10)
			c.SetVal(fmt.Appendf(nil, "*2\r\n$%d\r\n%s\r\n$6\r\n%06d\r\n", len(seconds), seconds, now.Nanosecond()/1000))
		case "xrevrange":
			r.latest, _ = parseID(c.Args()[2].(string))
			c.SetVal([]byte("*0\r\n"))
		default:
			c.SetVal([]byte("-ERR no such key\r\n"))
		}
	}
	<-time.After(r.late)
	return nil
}

// What is written in the millisecond in which the reader began is for its listeners,
// wherever in theirs the clocks are.
func TestOrigin_IsBeforeTheMillisecondInWhichTheReaderBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Log{Config: Config{Name: "log"}}
		const step = 100 * time.Microsecond
		for into := range 10 {
			for passed := range 20 {
				for late := range 20 {
					time.Sleep(time.Until(time.Now().Truncate(time.Millisecond).Add(time.Millisecond)))
					time.Sleep(time.Duration(into) * step)
					at := time.Now()
					time.Sleep(time.Duration(passed) * step)
					r := &lateRedis{late: time.Duration(late) * step}
					if _, err := l.endAt(t.Context(), r, at); err != nil && !isMissing(err) {
						t.Fatal(err)
					}
					if began := uint64(at.UnixMilli()); r.latest.ms >= began || r.latest.ms == 0 {
						t.Fatalf("%v into a millisecond, %v later, with replies %v late: %d, want less than %d", time.Duration(into)*step, time.Duration(passed)*step, r.late, r.latest.ms, began)
					}
				}
			}
		}
	})
}
