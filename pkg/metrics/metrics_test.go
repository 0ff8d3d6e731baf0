package metrics_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/metrics"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// observed starts a server with metrics.
func observed(t *testing.T, o metrics.Options, so server.Options) (*server.Server, *metrics.Metrics, string) {
	t.Helper()
	m := metrics.New(o)
	so.Observer, so.Logger, so.CloseTimeout = m.Observer(), slog.New(slog.DiscardHandler), 10*time.Millisecond
	s, err := server.New(so)
	if err != nil {
		t.Fatal(err)
	}
	m.Attach(s)
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		if err := s.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	server.Handle(s.Of("/"), "echo", func(_ context.Context, _ *server.Socket, text string) (string, error) { return text, nil })
	server.On(s.Of("/"), "sync", func(context.Context, *server.Socket, string) error { return nil })
	server.On(s.Of("/"), "boom", func(context.Context, *server.Socket, string) error { panic("boom") })
	return s, m, web.URL
}

// busy returns the metrics of a node after traffic of all kinds.
func busy(t *testing.T) *metrics.Metrics {
	t.Helper()
	bus := memory.New()
	s, m, url := observed(t, metrics.Options{Events: []string{"said"}}, server.Options{Adapter: bus})
	observed(t, metrics.Options{}, server.Options{Adapter: bus})
	for deadline := time.Now().Add(10 * time.Second); len(s.Health().Nodes) == 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the nodes do not hear each other")
		}
	}
	gone := make(chan struct{})
	s.Of("/").OnDisconnect(func(context.Context, *server.Socket, server.DisconnectReason) { close(gone) })
	c, _ := rawclient.Join(t, url, "/", nil)
	c.Send(`20["echo","x"]`)
	c.Expect(`30["x"]`)
	c.Send(`21["sync",""]`) // when that is answered, the echo has ended
	c.Expect(`31[]`)
	if err := s.Emit("said", "x"); err != nil {
		t.Fatal(err)
	}
	c.Expect(`2["said","x"]`)
	all := server.CallAll[string](t.Context(), s.Of("/").All(), "echo")
	c.Expect(`20["echo"]`)
	c.Send(`30["yes"]`)
	if _, err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Of("/").All().FetchSockets(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, _ := rawclient.Join(t, url, "/", nil)
	ended.Send(`2["boom","x"]`)
	ended.Expect("1")
	<-gone // which comes behind the handler's end
	return m
}

// gather scrapes m.
func gather(t *testing.T, m *metrics.Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(m)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*dto.MetricFamily)
	for _, f := range families {
		all[f.GetName()] = f
	}
	return all
}

// value returns the metric with these values of its labels, joined by commas.
func value(t *testing.T, f *dto.MetricFamily, labels string) float64 {
	t.Helper()
	for _, m := range f.GetMetric() {
		var values []string
		for _, l := range m.GetLabel() {
			values = append(values, l.GetValue())
		}
		if strings.Join(values, ",") == labels {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	t.Errorf("%s has nothing for %q", f.GetName(), labels)
	return -1
}

func TestMetrics_SayWhatHappened(t *testing.T) {
	all := gather(t, busy(t))
	for _, want := range []struct {
		name, labels string // in the alphabetical order of their names
		value        float64
	}{
		{"sio_sessions", "", 2},
		{"sio_connections", "websocket", 2},
		{"sio_connections_total", "websocket", 2},
		{"sio_sockets", "/", 1},
		{"sio_disconnections_total", "server namespace disconnect", 1},
		{"sio_events_received_total", "boom,/", 1},
		{"sio_events_received_total", "echo,/", 1},
		{"sio_events_sent_total", "echo,/", 1},
		{"sio_events_sent_total", "said,/", 1},
		{"sio_handler_duration_seconds", "echo,/", 1},
		{"sio_ack_duration_seconds", "echo,/", 1},
		{"sio_handler_panics_total", "boom", 1},
		{"sio_handler_panics_total", "other", 0},
		{"sio_send_queue_bytes", "", 2},
		{"sio_bus_state", "", 1},
		{"sio_cluster_nodes", "", 2},
		{"sio_cluster_request_duration_seconds", "fetch", 1},
		{"sio_cluster_request_partial_total", "fetch", 0},
		{"sio_drain_remaining", "", 0},
	} {
		if got := value(t, all[want.name], want.labels); got != want.value {
			t.Errorf("%s{%s} is %v, want %v", want.name, want.labels, got, want.value)
		}
	}
	for _, name := range []string{"sio_bytes_received_total", "sio_bytes_sent_total"} {
		if value(t, all[name], "websocket") == 0 {
			t.Errorf("%s is 0", name)
		}
	}
}

func TestMetrics_PassTheLinter(t *testing.T) {
	problems, err := testutil.CollectAndLint(busy(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetrics_LabelsAreBoundedWhateverClientsSend(t *testing.T) {
	s, m, url := observed(t, metrics.Options{}, server.Options{})
	s.OfFunc(func(context.Context, string, *server.Handshake) bool { return true }).Labeled("rooms")
	for i := range 20 {
		rawclient.Join(t, url, fmt.Sprint("/room-", i), nil)
	}
	c, _ := rawclient.Join(t, url, "/", nil)
	for i := range 2000 {
		c.Send(fmt.Sprintf(`2["event-%d"]`, i))
	}
	c.Send(`20["echo","x"]`)
	c.Expect(`30["x"]`)
	all := gather(t, m)
	if got := value(t, all["sio_events_received_total"], "other,/"); got != 2000 {
		t.Errorf("%v events are called other, want 2000", got)
	}
	if got := value(t, all["sio_sockets"], "rooms"); got != 20 {
		t.Errorf("%v sockets are in the pattern's namespaces, want 20", got)
	}
	for name, f := range all {
		if len(f.GetMetric()) > 20 {
			t.Errorf("%s has %d series", name, len(f.GetMetric()))
		}
	}
}

func TestMetrics_LabelsAreBoundedWhateverTheProgramEmits(t *testing.T) {
	m := metrics.New(metrics.Options{})
	end := m.Observer().End
	for i := range 5000 {
		end(t.Context(), &server.Operation{
			Kind: server.OperationEvent, Namespace: fmt.Sprint("/", i), Event: fmt.Sprint("event", i), Registered: true,
		})
	}
	if n := len(gather(t, m)["sio_events_received_total"].GetMetric()); n > 1001 {
		t.Errorf("%d series for 5,000 names, want 1,001 at most", n)
	}
}

func TestHandler_ServesThem(t *testing.T) {
	w := httptest.NewRecorder()
	busy(t).Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{"# TYPE sio_connections gauge", `sio_events_sent_total{event="said",namespace="/"} 1`, "go_goroutines"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the answer lacks %q", want)
		}
	}
}

func TestMetrics_ServesBeforeThereIsAServer(t *testing.T) {
	if n := len(gather(t, metrics.New(metrics.Options{}))); n == 0 {
		t.Error("there is nothing")
	}
}
