package server

import (
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/internal/testutil/pipenet"
)

const banner = "/*!\n * Socket.IO v4.8.1\n * (c) someone\n */\n"

// bundle is a client with all of its files but one.
func bundle() fstest.MapFS {
	files := fstest.MapFS{"secret.js": {Data: []byte("secret")}}
	for _, name := range clientNames[:len(clientNames)-1] {
		text := banner + strings.Repeat("// "+name+"\n", 100)
		if strings.HasSuffix(name, ".map") {
			text = `{"version":3,"file":"` + name + `"}`
		}
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

// countingFS counts how often a file is opened.
type countingFS struct {
	fs.FS
	opened atomic.Int64
	fail   atomic.Bool
}

func (c *countingFS) Open(name string) (fs.File, error) {
	c.opened.Add(1)
	if c.fail.Load() {
		return nil, errors.New("disk /dev/sda is broken")
	}
	return c.FS.Open(name)
}

// newEngine returns an engine for the client's files.
func newEngine(t *testing.T, options engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.New(options, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// ask sends a request to c.
func ask(c *clientFiles, method, target string, header ...string) (*httptest.ResponseRecorder, bool) {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	served := c.serve(w, r)
	return w, served
}

func TestClientFiles_EveryFileIsServedWithItsHeaders(t *testing.T) {
	files := bundle()
	c := newClientFiles(files, newEngine(t, engine.Options{}))
	for _, name := range clientNames[:len(clientNames)-1] {
		w, served := ask(c, "GET", "/socket.io/"+name+"?t=1")
		if !served || w.Code != http.StatusOK || w.Body.String() != string(files[name].Data) {
			t.Fatalf("%s: %v, %d with %d bytes", name, served, w.Code, w.Body.Len())
		}
		kind, tag := "application/javascript; charset=utf-8", `"4.8.1"`
		if strings.HasSuffix(name, ".map") {
			kind, tag = "application/json; charset=utf-8", w.Header().Get("ETag")
			if len(tag) != 34 || strings.Contains(tag, "4.8.1") {
				t.Errorf("%s: ETag is %s, want a hash", name, tag)
			}
		}
		for header, want := range map[string]string{
			"Content-Type": kind, "ETag": tag, "Cache-Control": "public, max-age=0", "Vary": "Accept-Encoding",
			"Content-Encoding": "", "Content-Length": strconv.Itoa(len(files[name].Data)), "X-Content-Type-Options": "nosniff",
		} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
	}
}

func TestClientFiles_NothingElseIsServed(t *testing.T) {
	opened := &countingFS{FS: bundle()}
	c := newClientFiles(opened, newEngine(t, engine.Options{}))
	for _, path := range []string{
		"/", "/socket.io/", "/socket.io/secret.js", "/socket.io/../secret.js", "/socket.io/%2e%2e%2fsecret.js", "/socket.io.js/",
		"/socket.io/Socket.io.js", "/socket.io/socket.io.js%00", "/socket.io/socket.io.js%20", "/socket.io/..%5csocket.io.js",
		"/socket.io/socket.io.js.map.map", "/socket.io/.", "/socket.io/%2e%2e", "/socket.io/socket.io.js;x",
	} {
		if w, served := ask(c, "GET", path); served || w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("%s is served: %d %q", path, w.Code, w.Body)
		}
	}
	if got := opened.opened.Load(); got != 0 {
		t.Errorf("%d files were opened", got)
	}
	// The last element decides, wherever it is said to be.
	for _, path := range []string{"/socket.io/../../etc/socket.io.js", "/..%2f..%2fsocket.io.js"} {
		if w, served := ask(c, "GET", path); !served || !strings.HasPrefix(w.Body.String(), banner) {
			t.Errorf("%s: %v, %d", path, served, w.Code)
		}
	}
}

func TestClientFiles_MissingFileIs404(t *testing.T) {
	opened := &countingFS{FS: bundle()}
	c := newClientFiles(opened, newEngine(t, engine.Options{}))
	missing := "/socket.io/" + clientNames[len(clientNames)-1]
	if w, served := ask(c, "GET", missing); !served || w.Code != http.StatusNotFound || w.Body.Len() > 0 {
		t.Errorf("got %v, %d %q", served, w.Code, w.Body)
	}
	// What cannot be read tells nothing of the reason, and is tried again.
	opened.fail.Store(true)
	if w, _ := ask(c, "GET", "/socket.io.js"); w.Code != http.StatusInternalServerError || w.Body.Len() > 0 {
		t.Errorf("broken disk: got %d %q", w.Code, w.Body)
	}
	opened.fail.Store(false)
	if w, _ := ask(c, "GET", "/socket.io.js"); w.Code != http.StatusOK {
		t.Errorf("repaired disk: got %d", w.Code)
	}
}

func TestClientFiles_OnlyGetAndHead(t *testing.T) {
	c := newClientFiles(bundle(), newEngine(t, engine.Options{}))
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
		w, served := ask(c, method, "/socket.io/socket.io.js")
		if !served || w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" || w.Body.Len() > 0 {
			t.Errorf("%s: %v, %d", method, served, w.Code)
		}
	}
}

func TestClientFiles_KnownVersionIs304(t *testing.T) {
	c := newClientFiles(bundle(), newEngine(t, engine.Options{}))
	hash, _ := ask(c, "HEAD", "/socket.io.js.map")
	for _, tt := range []struct {
		path, tags string
		want       int
	}{
		{"/socket.io.js", `"4.8.1"`, 304}, {"/socket.io.js", `W/"4.8.1"`, 304}, {"/socket.io.js", `"4.8.0", W/"4.8.1"`, 304},
		{"/socket.io.js", `*`, 304}, {"/socket.io.js", `"4.8.0"`, 200}, {"/socket.io.js", `4.8.1`, 200},
		{"/socket.io.js", `"4.8.10"`, 200}, {"/socket.io.js", strings.Repeat(",", 15<<10), 200},
		{"/socket.io.js.map", hash.Header().Get("ETag"), 304}, {"/socket.io.min.js.map", hash.Header().Get("ETag"), 200},
	} {
		w, _ := ask(c, "GET", tt.path, "If-None-Match", tt.tags)
		if w.Code != tt.want || w.Header().Get("ETag") == "" || tt.want == 304 && w.Body.Len() > 0 {
			t.Errorf("%s, %.30s: got %d with %d bytes, want %d", tt.path, tt.tags, w.Code, w.Body.Len(), tt.want)
		}
	}
	if w, _ := ask(c, "GET", "/socket.io.js", "If-None-Match", `"a"`, "If-None-Match", `"4.8.1"`); w.Code != 304 {
		t.Errorf("two lines: got %d", w.Code)
	}
}

func TestClientFiles_VersionIsTakenFromTheBannerOnly(t *testing.T) {
	for text, want := range map[string]string{
		banner: `"4.8.1"`,
		"/*!\r\n * Socket.IO v5.0.0-beta.1+x\r\n": `"5.0.0-beta.1+x"`,
		"let x = 'Socket.IO v4.8.1 ';":            "",
		"/*!\n * Socket.IO v\"\n\r\n */":          "",
		"":                                        "",
	} {
		file := newClientFile("socket.io.js", []byte(text))
		if want == "" && len(file.tag) == 34 {
			continue
		}
		if file.tag != want {
			t.Errorf("%q: got %s, want %q", text, file.tag, want)
		}
	}
}

func TestClientFiles_AreCompressedAsTheClientAcceptsOnceAndReadOnce(t *testing.T) {
	opened := &countingFS{FS: bundle()}
	c := newClientFiles(opened, newEngine(t, engine.Options{}))
	plain, _ := ask(c, "GET", "/socket.io.js")
	want := plain.Body.String()
	var asking sync.WaitGroup
	for range 8 {
		for accepted, coding := range map[string]string{
			"gzip, deflate, br": "gzip", "deflate": "deflate", "br": "", "gzip;q=0": "", strings.Repeat("gzip;q=0,", 1700): "",
		} {
			asking.Go(func() {
				w, _ := ask(c, "GET", "/socket.io/socket.io.js", "Accept-Encoding", accepted)
				if got := w.Header().Get("Content-Encoding"); got != coding {
					t.Errorf("%.20q: got %q, want %q", accepted, got, coding)
				}
				if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
					t.Errorf("%.20q: Content-Length is %q of %d", accepted, got, w.Body.Len())
				}
				if got := decompress(t, coding, w.Body); got != want {
					t.Errorf("%.20q: got %d bytes", accepted, len(got))
				}
			})
		}
	}
	asking.Wait()
	if got := opened.opened.Load(); got != 1 {
		t.Errorf("the file was opened %d times", got)
	}
	file := c.files[0].Load()
	if first, second := file.gzip(), file.gzip(); &first[0] != &second[0] {
		t.Error("the file was compressed twice")
	}
}

func decompress(t *testing.T, coding string, body io.Reader) string {
	var err error
	switch coding {
	case "gzip":
		body, err = gzip.NewReader(body)
	case "deflate":
		body, err = zlib.NewReader(body)
	}
	if err != nil {
		t.Error(err)
		return ""
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// serveClient serves c on a real socket.
func serveClient(t *testing.T, c *clientFiles) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(w, r) }))
	t.Cleanup(s.Close)
	return s
}

func TestClientFiles_OverRealConnections(t *testing.T) {
	files := bundle()
	files["socket.io.js"] = &fstest.MapFile{Data: []byte(banner + strings.Repeat("x", 1<<20))}
	s := serveClient(t, newClientFiles(files, newEngine(t, engine.Options{})))
	response, err := s.Client().Get(s.URL + "/socket.io/socket.io.js")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || string(body) != string(files["socket.io.js"].Data) || !response.Uncompressed {
		t.Errorf("GET: %d bytes, %v", len(body), err)
	}
	response, err = s.Client().Head(s.URL + "/socket.io/socket.io.min.js")
	if err != nil {
		t.Fatal(err)
	}
	body, _ = io.ReadAll(response.Body)
	_ = response.Body.Close()
	if len(body) != 0 || response.ContentLength != int64(len(files["socket.io.min.js"].Data)) || response.Header.Get("ETag") != `"4.8.1"` {
		t.Errorf("HEAD: %d bytes, headers %v", len(body), response.Header)
	}
}

func TestClientFiles_PagesOfAllowedOriginsMayImportThem(t *testing.T) {
	cors := &engine.CORS{Origins: []string{"https://ours.example"}}
	c := newClientFiles(bundle(), newEngine(t, engine.Options{CORS: cors}))
	for origin, want := range map[string]string{"https://ours.example": "https://ours.example", "https://foreign.example": ""} {
		w, _ := ask(c, "GET", "/socket.io.esm.min.js", "Origin", origin)
		if got := w.Header().Get("Access-Control-Allow-Origin"); w.Code != http.StatusOK || got != want {
			t.Errorf("%s: got %d, allowed %q, want %q", origin, w.Code, got, want)
		}
	}
}

// A client that does not read is given up, as by the engine.
func TestClientFiles_SlowReaderIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := bundle()
		files["socket.io.js"] = &fstest.MapFile{Data: make([]byte, 1<<20)}
		c := newClientFiles(files, newEngine(t, engine.Options{WriteTimeout: 3 * time.Second}))
		network := pipenet.New()
		done := make(chan time.Time, 1)
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.serve(w, r)
			done <- time.Now()
		})}
		var serving sync.WaitGroup
		serving.Go(func() { _ = s.Serve(network) })
		conn, err := network.Dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, _ = io.WriteString(conn, "GET /socket.io.js HTTP/1.1\r\nHost: x\r\n\r\n")
		if took := (<-done).Sub(start); took != 3*time.Second {
			t.Errorf("given up after %v, want 3s", took)
		}
		_, _ = conn.Close(), s.Close()
		serving.Wait()
	})
}

func TestClientFiles_BodyOfARequestIsNotAwaited(t *testing.T) {
	s := serveClient(t, newClientFiles(bundle(), newEngine(t, engine.Options{})))
	for _, method := range []string{"GET", "POST"} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, method+" /socket.io.js HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		answer, err := io.ReadAll(conn) // ends when the server closes the connection
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 ") {
			t.Errorf("%s: got %.60q, %v", method, answer, err)
		}
		_ = conn.Close()
	}
}
