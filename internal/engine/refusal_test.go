package engine

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// refusals keeps what OnRefused is told.
type refusals struct {
	mu  sync.Mutex
	got []Refusal
	ids []string // the X-Test header of each request
}

func (r *refusals) add(request *http.Request, f Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got, r.ids = append(r.got, f), append(r.ids, request.Header.Get("X-Test"))
}

// take returns what there is and forgets it.
func (r *refusals) take() ([]Refusal, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	got, ids := r.got, r.ids
	r.got, r.ids = nil, nil
	return got, ids
}

// upgradeHeader is that of a client that asks for a WebSocket.
func upgradeHeader() http.Header {
	return http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
	}
}

// refusalTest is a request that is refused, and how.
type refusalTest struct {
	options Options
	method  string
	query   string
	upgrade bool
	header  [2]string
	before  func(f *fixture) (sid string) // what has happened; the id goes into the query
	code    int
	reason  string
	because string // a part of Err's text
}

func refusalTests() map[string]refusalTest {
	full := func(f *fixture) string { f.openPolling(); return "" }
	polling := func(f *fixture) string { p, _ := f.openPolling(); return p.sid }
	probing := func(f *fixture) string { p, _ := f.openPolling(); p.probe(); return p.sid }
	onSocket := func(f *fixture) string { c, _ := f.openSocket(); return c.sid }
	upgraded := func(f *fixture) string { p, r := f.openPolling(); p.upgrade(r); return p.sid }
	origin := [2]string{"Origin", foreign}
	return map[string]refusalTest{
		"transport":                {query: "EIO=4&transport=x", code: 0, reason: "transport_unknown"},
		"transport, upgrade":       {query: "EIO=4&transport=x", upgrade: true, code: 0, reason: "transport_unknown"},
		"session":                  {query: pollQuery + "&sid=x", code: 1, reason: "session_unknown"},
		"session, POST":            {method: "POST", query: pollQuery + "&sid=x", code: 1, reason: "session_unknown"},
		"session, upgrade":         {query: socketQuery + "&sid=x", upgrade: true, code: 1, reason: "session_unknown"},
		"method":                   {method: "PUT", query: pollQuery, code: 2, reason: "bad_method"},
		"query":                    {query: pollQuery + "&a=%zz", code: 3, reason: "bad_request", because: "%zz"},
		"Origin's bytes":           {query: pollQuery, header: [2]string{"Origin", "a\x00"}, code: 3, reason: "bad_request", because: "control"},
		"no upgrade":               {query: socketQuery, code: 3, reason: "bad_request", because: "without an upgrade"},
		"upgrade to polling":       {query: pollQuery, upgrade: true, code: 3, reason: "bad_request", because: "other transport"},
		"sid, upgrade to polling":  {query: pollQuery, before: polling, upgrade: true, code: 3, reason: "bad_request", because: "other transport"},
		"sid, other transport":     {query: pollQuery, before: onSocket, code: 3, reason: "bad_request", because: "another transport"},
		"sid, no upgrade":          {query: socketQuery, before: onSocket, code: 3, reason: "bad_request", because: "without an upgrade"},
		"second probe":             {query: socketQuery, before: probing, upgrade: true, code: 3, reason: "bad_request", because: "upgraded"},
		"upgraded":                 {query: socketQuery, before: upgraded, upgrade: true, code: 3, reason: "bad_request", because: "upgraded"},
		"upgrades are off":         {options: Options{DisableUpgrades: true}, query: socketQuery, before: polling, upgrade: true, code: 3, reason: "bad_request", because: "off"},
		"WebSocket key":            {query: socketQuery, upgrade: true, header: [2]string{"Sec-Websocket-Key", "x"}, code: 3, reason: "bad_request", because: "Sec-WebSocket-Key"},
		"WebSocket version":        {query: socketQuery, upgrade: true, header: [2]string{"Sec-Websocket-Version", "12"}, code: 3, reason: "bad_request", because: "version"},
		"WebSocket key, upgrade":   {query: socketQuery, before: polling, upgrade: true, header: [2]string{"Sec-Websocket-Key", "x"}, code: 3, reason: "bad_request", because: "Sec-WebSocket-Key"},
		"no connection to take":    {query: socketQuery, upgrade: true, code: 3, reason: "bad_request", because: "not supported"},
		"AllowRequest":             {options: Options{AllowRequest: forbid}, query: pollQuery, code: 4, reason: "forbidden", because: "not you"},
		"AllowRequest, upgrade":    {options: Options{AllowRequest: forbid}, query: socketQuery, upgrade: true, code: 4, reason: "forbidden", because: "not you"},
		"origin":                   {options: Options{CORS: &CORS{}}, query: pollQuery, header: origin, code: 4, reason: "origin"},
		"origin, upgrade":          {options: Options{CORS: &CORS{}}, query: socketQuery, upgrade: true, header: origin, code: 4, reason: "origin"},
		"origin, preflight":        {options: Options{CORS: &CORS{}}, method: "OPTIONS", query: pollQuery, header: origin, code: 4, reason: "origin"},
		"version":                  {query: "EIO=3&transport=polling", code: 5, reason: "unsupported_version"},
		"version, upgrade":         {query: "EIO=3&transport=websocket", upgrade: true, code: 5, reason: "unsupported_version"},
		"MaxConnections":           {options: Options{MaxConnections: 1}, query: pollQuery, before: full, code: -1, reason: "max_connections"},
		"MaxHandshakesPerSecond":   {options: Options{MaxHandshakesPerSecond: 1}, query: pollQuery, before: full, code: -1, reason: "max_handshakes"},
		"closing":                  {query: pollQuery, before: stopped, code: -1, reason: "closing"},
		"closing, upgrade":         {query: socketQuery, before: stopped, upgrade: true, code: -1, reason: "closing"},
		"session id":               {options: Options{NewID: noID}, query: pollQuery, code: 3, reason: "bad_request", because: "no ids"},
		"session id, upgrade":      {options: Options{NewID: noID}, query: socketQuery, upgrade: true, code: 3, reason: "bad_request", because: "no ids"},
		"session that has ended":   {query: pollQuery, before: ended, code: 1, reason: "session_unknown"},
		"POST after Close":         {method: "POST", query: pollQuery, before: lingering, code: 1, reason: "session_unknown"},
		"WebSocket after Close":    {query: socketQuery, before: lingering, upgrade: true, code: 1, reason: "session_unknown"},
		"transport that is off":    {options: Options{Transports: []string{"websocket"}}, query: pollQuery, code: 0, reason: "transport_unknown"},
		"WebSockets that are off":  {options: Options{Transports: []string{"polling"}}, query: socketQuery, upgrade: true, code: 0, reason: "transport_unknown"},
		"version, later WebSocket": {query: "transport=websocket", before: polling, upgrade: true, code: 5, reason: "unsupported_version"},
	}
}

func forbid(*http.Request) error         { return errors.New("not you") }
func noID(*http.Request) (string, error) { return "", errors.New("no ids") }
func stopped(f *fixture) string          { f.stop(); return "" }
func lingering(f *fixture) string        { p, r := f.openPolling(); r.session.Close(); return p.sid }
func ended(f *fixture) string {
	p, r := f.openPolling()
	p.post("1")
	f.expectEnd(r, ReasonTransportClose)
	return p.sid
}

func TestOnRefused_IsToldOfEveryRefusal(t *testing.T) {
	seen := map[string]bool{}
	for name, tt := range refusalTests() {
		t.Run(name, func(t *testing.T) {
			var told refusals
			tt.options.OnRefused = told.add
			inBubble(t, tt.options, func(f *fixture) {
				if tt.before != nil {
					if sid := tt.before(f); sid != "" {
						tt.query += "&sid=" + sid
					}
				}
				r := httptest.NewRequest(max(tt.method, "GET"), "/?"+tt.query, nil)
				if tt.upgrade {
					r.Header = upgradeHeader()
				}
				r.Header.Set("X-Test", name)
				if tt.header[0] != "" {
					r.Header[tt.header[0]] = tt.header[1:]
				}
				w := httptest.NewRecorder()
				f.engine.ServeHTTP(w, r)
				got, ids := told.take()
				if len(got) != 1 || ids[0] != name {
					t.Fatalf("told of %+v, of the requests %q", got, ids)
				}
				message := strings.TrimSpace(w.Body.String())
				if got[0].Code != tt.code || got[0].Reason != tt.reason || !strings.Contains(message, got[0].Message) || w.Code < 400 {
					t.Errorf("told of %+v, answered %d %q", got[0], w.Code, message)
				}
				if err := got[0].Err; (err != nil) != (tt.because != "") || err != nil && !strings.Contains(err.Error(), tt.because) {
					t.Errorf("the error is %v, want %q in it", err, tt.because)
				}
			})
		})
		seen[tt.reason] = true
	}
	for _, reason := range refusalReasons {
		if !seen[reason] {
			t.Errorf("no test of the reason %q", reason)
		}
	}
}

func TestOnRefused_IsNotToldOfWhatEndsASession(t *testing.T) {
	var told refusals
	f := onSockets(t, Options{OnRefused: told.add, MaxPayload: 1000, MaxSendQueueBytes: 1000})
	p, r := f.openPolling()
	first := p.poll(r)
	p.get().expect(t, http.StatusBadRequest, "") // a second one
	<-first
	f.awaitEnd(r)
	for _, body := range []string{"9", "2", "", strings.Repeat("4", 2000)} {
		p, r = f.openPolling()
		p.post(body)
		f.awaitEnd(r)
	}
	p, r = f.openPolling()
	p.do("PUT", p.query(), "")
	probe := p.probe()
	probe.send("4early")
	probe.expectGone()
	for range 2 {
		_ = r.session.Send(NewMessage(make([]byte, 900)))
	}
	f.awaitEnd(r)
	for _, raw := range [][]byte{frame(0x81, "9"), frame(0x83, "x"), frame(0x82, strings.Repeat("x", 2000)), frame(0x88, "x")} {
		c, r := f.openSocket()
		c.sendRaw(raw)
		f.awaitEnd(r)
	}
	if got, _ := told.take(); len(got) != 0 {
		t.Errorf("told of %+v", got)
	}
}

func TestOnRefused_PanicLeavesTheAnswerAsItIs(t *testing.T) {
	var log bytes.Buffer
	f := onSockets(t, Options{
		OnRefused: func(*http.Request, Refusal) { panic("hook") },
		Logger:    slog.New(slog.NewTextHandler(&log, nil)),
	})
	f.do("GET", pollQuery+"&sid=x", "").expect(t, http.StatusBadRequest, unknownSession)
	f.stop()
	if a := f.do("GET", pollQuery, ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("while closing: got %d %q, %v", a.status, a.body, a.err)
	}
	if got := f.engine.Stats().Panics; got != 2 || !strings.Contains(log.String(), "hook") {
		t.Errorf("counted %d panics, want 2; logged %s", got, log.String())
	}
}
