package server

import (
	"slices"
	"testing"
	"testing/synctest"
)

func TestDoorway_LetsInInOrderAndSoManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := doorway{tasks: newTasks()}
		inside := make(chan int, 3*returningAtOnce)
		leave := make(chan struct{})
		for i := range 3 * returningAtOnce {
			d.enter(func(done func()) {
				inside <- i
				<-leave
				done()
				done() // as one that has left and then ends
			})
		}
		synctest.Wait()
		if got := len(inside); got != returningAtOnce {
			t.Errorf("%d are inside, want %d", got, returningAtOnce)
		}
		var order []int
		for range 3 * returningAtOnce {
			order = append(order, <-inside)
			leave <- struct{}{}
			synctest.Wait()
		}
		if behind := order[returningAtOnce:]; !slices.IsSorted(behind) {
			t.Errorf("those who waited came in as %v", behind)
		}
		synctest.Wait()
		if d.inside != 0 || d.waiting != nil {
			t.Errorf("%d are inside and %d wait at the end", d.inside, len(d.waiting))
		}
		if err := d.tasks.dismiss(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
