package adaptertest

import (
	"context"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// outageFaults has an adapter that breaks one rule of counting, outages and events
// alone, for each.
var outageFaults = map[string]func() fault{
	"Count_NodesOfTheTopic": onLink(func(l *fixtureLink) {
		count := l.count
		l.count = func(ctx context.Context) (int, error) {
			n, err := count(ctx)
			return n - 1, err // the others
		}
	}),
	"Count_FailsWhileDegraded": onLink(func(l *fixtureLink) {
		count := l.count
		l.count = func(ctx context.Context) (int, error) {
			if !l.reached() {
				return 1, nil
			}
			return count(ctx)
		}
	}),

	"Outage_JoinIsDegraded": onLink(func(l *fixtureLink) {
		publish := l.publish
		l.publish = func(ctx context.Context, m *adapter.Message) error {
			if !l.reached() {
				return adapter.ErrDegraded
			}
			return publish(ctx, m)
		}
	}),
	"Outage_HealsByItself": onDeliver(func(l *fixtureLink, next func(*adapter.Message)) func(*adapter.Message) {
		if !l.reached() {
			return func(*adapter.Message) {}
		}
		return next
	}),
	"Outage_IsReported": func() fault {
		return fault{status: func() adapter.Status { return adapter.Status{State: adapter.Up} }}
	},

	"Watch_Outage": func() fault {
		return fault{watch: func(real func(func(adapter.Event)) func(), call func(adapter.Event)) func() {
			return real(func(e adapter.Event) {
				if e.Gap != nil {
					e.Gap = &adapter.Gap{From: e.Gap.From, To: e.Gap.To}
				}
				call(e)
			})
		}}
	},
	"Watch_OneAtATime": func() fault { return fault{watch: hastyWatch} },
	"Watch_StopWaits": func() fault {
		return fault{watch: func(real func(func(adapter.Event)) func(), call func(adapter.Event)) func() {
			stop := real(call)
			return func() { go stop() }
		}}
	},
}
