package engine

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAcceptedCoding(t *testing.T) {
	tests := map[string]Coding{
		"":                                  CodingIdentity,
		"gzip":                              CodingGzip,
		"deflate":                           CodingDeflate,
		"gzip, deflate, br, zstd":           CodingGzip,
		"deflate, gzip":                     CodingGzip,
		"GZIP":                              CodingGzip,
		"x-gzip":                            CodingGzip,
		" \tgzip ;\tq=1 ":                   CodingGzip,
		"br":                                CodingIdentity,
		"gzipped, deflates":                 CodingIdentity,
		"gzip;q=0.5, deflate;q=0.8":         CodingDeflate,
		"gzip;q=0.001":                      CodingGzip,
		"gzip;q=0, deflate":                 CodingDeflate,
		"gzip;q=0":                          CodingIdentity,
		"gzip;q=0.000":                      CodingIdentity,
		"gzip;q=0, *":                       CodingDeflate,
		"*":                                 CodingGzip,
		"*;q=0":                             CodingIdentity,
		"gzip, *;q=0":                       CodingGzip,
		"gzip;q=0.2, *;q=0.1":               CodingGzip,
		"identity":                          CodingIdentity,
		"identity, gzip;q=0.9":              CodingIdentity,
		"identity;q=0.5, gzip;q=0.5":        CodingGzip,
		"identity;q=0, gzip;q=0.1":          CodingGzip,
		"gzip;Q=0.5, deflate;a=b;q=0.7":     CodingDeflate,
		"gzip;q=1.001":                      CodingIdentity,
		"gzip;q=2":                          CodingIdentity,
		"gzip;q=-1":                         CodingIdentity,
		"gzip;q=":                           CodingIdentity,
		"gzip;q=.5":                         CodingIdentity,
		"gzip;q=0.1234":                     CodingIdentity,
		"gzip;q=0.5x":                       CodingIdentity,
		"gzip;q=NaN, deflate;q=0x1p-2":      CodingIdentity,
		"gzip;q=1e0":                        CodingIdentity,
		",,;;,=,q=1,":                       CodingIdentity,
		strings.Repeat(",", 16<<10):         CodingIdentity,
		strings.Repeat("gzip;q=0,", 16<<10): CodingIdentity,
	}
	for value, want := range tests {
		if got := AcceptedCoding(http.Header{"Accept-Encoding": {value}}); got != want {
			t.Errorf("%.60q: got %q, want %q", value, got, want)
		}
	}
	if got := AcceptedCoding(http.Header{"Accept-Encoding": {"br", "deflate"}}); got != CodingDeflate {
		t.Errorf("several lines: got %q", got)
	}
}

func FuzzAcceptedCoding(f *testing.F) {
	for _, seed := range []string{"gzip", "gzip;q=0.5, deflate;q=1.000", "*;q=0", "identity;q=1;q=0", ",;=", "x-gzip ; q=0."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		coding := AcceptedCoding(http.Header{"Accept-Encoding": {value}})
		listed := strings.Contains(value, "*") || strings.Contains(strings.ToLower(value), string(coding))
		if coding != CodingIdentity && coding != CodingGzip && coding != CodingDeflate || !listed {
			t.Errorf("got %q", coding)
		}
	})
}

// decode reverses a coding; for gzip and the zlib format it is the standard library that says what they are.
func decode(t *testing.T, coding, body string) string {
	t.Helper()
	var r io.Reader = strings.NewReader(body)
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "deflate":
		r, err = zlib.NewReader(r)
	}
	if err != nil {
		t.Fatalf("%s: %v", coding, err)
	}
	decoded, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("%s: %v", coding, err)
	}
	return string(decoded)
}

// pollWith polls with an Accept-Encoding and returns the answer, decoded, and its coding.
func (p *poller) pollWith(accepted string) (answer, string) {
	p.t.Helper()
	a := p.do("GET", p.query(), "", "Accept-Encoding", accepted)
	if got := a.header.Get("Content-Length"); got != strconv.Itoa(len(a.body)) {
		p.t.Errorf("Content-Length is %q for %d bytes", got, len(a.body))
	}
	coding := a.header.Get("Content-Encoding")
	a.body = decode(p.t.(*testing.T), coding, a.body)
	return a, coding
}

func TestPolling_LargePayloadsAreCompressedAsTheClientAccepts(t *testing.T) {
	f := onSockets(t, Options{CORS: &CORS{Origins: []string{ours}}})
	p, r := f.openPolling()
	for _, size := range []int{1024, 10_000, 300_000} { // the payload's, and beyond what one write holds
		text := strings.Repeat("long ", size)[:size-1]
		for accepted, want := range map[string]string{
			"gzip": "gzip", "deflate": "deflate", "gzip, deflate, br": "gzip", "br": "", "identity": "", "gzip;q=0": "",
		} {
			_ = r.session.Send(NewMessage([]byte(text)))
			a, coding := p.pollWith(accepted)
			a.expect(t, http.StatusOK, "4"+text)
			if coding != want {
				t.Errorf("%d bytes, %q: got %q, want %q", size, accepted, coding, want)
			}
			if got := a.header["Vary"]; !slices.Equal(got, []string{"Origin", "Accept-Encoding"}) {
				t.Errorf("%d bytes, %q: Vary is %q", size, accepted, got)
			}
			if got := a.header.Get("Content-Type"); got != "text/plain; charset=UTF-8" {
				t.Errorf("Content-Type is %q", got)
			}
		}
	}
}

// A client that knows nothing of compression itself, as its HTTP library does it.
func TestPolling_CompressionIsTransparentToClients(t *testing.T) {
	f := onSockets(t, Options{})
	p, r := f.openPolling()
	text := strings.Repeat("long ", 1000)
	_ = r.session.Send(NewMessage([]byte(text), []byte{1, 2, 3}))
	response, err := f.client.Get(f.base + "?" + p.query())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "4"+text+"\x1ebAQID" || !response.Uncompressed {
		t.Errorf("got %d bytes, %v, uncompressed %v", len(body), err, response.Uncompressed)
	}
}

func TestPolling_WhatIsNotCompressed(t *testing.T) {
	long := strings.Repeat("long ", 1000)
	tests := map[string]struct {
		threshold int
		messages  []*Message
		want      string
	}{
		"below the threshold":            {0, []*Message{NewMessage([]byte(long[:1022]))}, ""},
		"below its own threshold":        {6000, []*Message{NewMessage([]byte(long))}, ""},
		"at its own threshold":           {3, []*Message{NewMessage([]byte("ab"))}, "gzip"},
		"switched off":                   {-1, []*Message{NewMessage([]byte(long))}, ""},
		"uncompressed":                   {0, []*Message{NewMessage([]byte(long)).Uncompressed()}, ""},
		"one of several is uncompressed": {0, []*Message{NewMessage([]byte(long)), NewMessage([]byte("a")).Uncompressed()}, ""},
		"together beyond the threshold":  {0, []*Message{NewMessage([]byte(long[:600])), NewMessage([]byte(long[:600]))}, "gzip"},
		"binary":                         {0, []*Message{NewBinaryMessage([]byte(long))}, "gzip"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := onSockets(t, Options{HTTPCompressionThreshold: tt.threshold})
			p, r := f.openPolling()
			for _, m := range tt.messages {
				_ = r.session.Send(m)
			}
			a, coding := p.pollWith("gzip")
			a.expect(t, http.StatusOK, string(encodePayload(tt.messages)))
			if coding != tt.want || (a.header.Get("Vary") != "") != (tt.want != "") {
				t.Errorf("got %q, Vary %q, want %q", coding, a.header.Get("Vary"), tt.want)
			}
		})
	}
}

// The session's id is a secret: its packet is not compressed with anything else.
func TestPolling_OpenPacketIsNotCompressed(t *testing.T) {
	f := onSockets(t, Options{})
	f.onOpen = func(r *recorder) { _ = r.session.Send(NewMessage([]byte(strings.Repeat("x", 5000)))) }
	a := f.do("GET", pollQuery, "", "Accept-Encoding", "gzip")
	if a.header.Get("Content-Encoding") != "" || len(a.body) < 5000 {
		t.Errorf("got %d bytes as %q", len(a.body), a.header.Get("Content-Encoding"))
	}
}

func TestPolling_HostileAcceptEncodingDelaysNobody(t *testing.T) {
	f := onSockets(t, Options{})
	for _, value := range []string{
		strings.Repeat(",", 15<<10), strings.Repeat("gzip;q=0.", 15<<10/9), strings.Repeat(";q=1", 15<<10/4), strings.Repeat("*", 15<<10),
	} {
		p, r := f.openPolling()
		_ = r.session.Send(NewMessage(make([]byte, 5000)))
		start := time.Now()
		a, coding := p.pollWith(value)
		if took := time.Since(start); a.status != http.StatusOK || coding != "" || took > time.Second {
			t.Errorf("%.20q…: got %d as %q after %v", value, a.status, coding, took)
		}
	}
}

// Requests are not decompressed, as by the reference: the bytes are no packets.
func TestPolling_CompressedBodyEndsTheSession(t *testing.T) {
	for _, coding := range []Coding{CodingGzip, CodingDeflate} {
		f := onSockets(t, Options{})
		p, r := f.openPolling()
		body := string(coding.appendCompressed(nil, []byte("4text")))
		p.do("POST", p.query(), body, "Content-Encoding", string(coding)).expect(t, http.StatusBadRequest, "")
		f.expectEnd(r, ReasonParseError)
		if got := r.messages(); len(got) != 0 {
			t.Errorf("received %q", got)
		}
		// What the header says does not matter.
		p, r = f.openPolling()
		p.do("POST", p.query(), "4text", "Content-Encoding", string(coding)).expect(t, http.StatusOK, "ok")
		f.expectMessages(r, "text")
	}
}

// Writers and buffers are shared by all polls; each client gets its own bytes.
func TestPolling_CompressedAnswersDoNotMix(t *testing.T) {
	f := onSockets(t, Options{})
	var clients sync.WaitGroup
	for i := range 16 {
		p, r := f.openPolling()
		clients.Go(func() {
			for size := 1500; size < 200_000; size *= 3 {
				text := strings.Repeat(strconv.Itoa(i)+" ", size)
				_ = r.session.Send(NewMessage([]byte(text)))
				coding := []string{"gzip", "deflate"}[i%2]
				a, got := p.pollWith(coding)
				if got != coding || a.body != "4"+text {
					t.Errorf("client %d got %d bytes as %q", i, len(a.body), got)
				}
			}
		})
	}
	clients.Wait()
}

func TestCoding_CompressorsOfEveryLevel(t *testing.T) {
	text := strings.Repeat("long ", 1000)
	for _, coding := range []Coding{CodingGzip, CodingDeflate} {
		for _, level := range []int{flate.BestSpeed, flate.DefaultCompression, flate.BestCompression} {
			var out bytes.Buffer
			c := coding.NewCompressor(&out, level)
			_, _ = io.WriteString(c, text)
			_ = c.Close()
			if decode(t, string(coding), out.String()) != text || out.Len() > 200 {
				t.Errorf("%s, level %d: %d bytes", coding, level, out.Len())
			}
		}
	}
}

func BenchmarkCoding_Compress(b *testing.B) {
	for _, coding := range []Coding{CodingGzip, CodingDeflate} {
		b.Run(string(coding), func(b *testing.B) {
			data := []byte(strings.Repeat(`42["message",{"user":"someone","text":"hello world"}]`, 200))
			var buffer []byte
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				buffer = coding.appendCompressed(buffer[:0], data)
			}
		})
	}
}
