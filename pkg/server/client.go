package server

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/internal/engine"
)

// clientNames are the files of the official client's bundle; nothing else is
// ever opened.
var clientNames = []string{
	"socket.io.js", "socket.io.js.map",
	"socket.io.min.js", "socket.io.min.js.map",
	"socket.io.esm.min.js", "socket.io.esm.min.js.map",
	"socket.io.msgpack.min.js", "socket.io.msgpack.min.js.map",
}

// clientBanner finds the version in the comment that a bundle begins with.
var clientBanner = regexp.MustCompile(`^/\*!\s*\*\s*Socket\.IO v([0-9A-Za-z.+-]+)\s`)

// clientFiles serves the client's bundle from a file system. A file is read when
// it is first asked for, and kept.
type clientFiles struct {
	fsys   fs.FS
	engine *engine.Engine
	files  []atomic.Pointer[clientFile] // as clientNames
}

// newClientFiles returns what serves the files in the root of fsys, to the origins
// and with the time limit that e has.
func newClientFiles(fsys fs.FS, e *engine.Engine) *clientFiles {
	return &clientFiles{fsys: fsys, engine: e, files: make([]atomic.Pointer[clientFile], len(clientNames))}
}

// serve answers a request whose path ends in the name of a client's file. It
// reports false, and does nothing, for any other.
func (c *clientFiles) serve(w http.ResponseWriter, r *http.Request) bool {
	index := slices.Index(clientNames, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	if index < 0 {
		return false
	}
	if r.ContentLength != 0 {
		// Nobody reads the body, and net/http must not wait for it either.
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(0, 0)) // where it is not supported, the server has its own
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return true
	}
	file, err := c.file(index)
	switch {
	case err == nil:
		c.send(w, r, file)
	case errors.Is(err, fs.ErrNotExist):
		w.WriteHeader(http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusInternalServerError)
	}
	return true
}

// file returns a file, which is read at most once by each request that finds it
// unread: a file system is foreign code, so no lock is held meanwhile.
func (c *clientFiles) file(index int) (*clientFile, error) {
	if file := c.files[index].Load(); file != nil {
		return file, nil
	}
	data, err := fs.ReadFile(c.fsys, clientNames[index])
	if err != nil {
		return nil, err
	}
	c.files[index].CompareAndSwap(nil, newClientFile(clientNames[index], data))
	return c.files[index].Load(), nil
}

// send answers with a file, or with 304 if the client has it.
func (c *clientFiles) send(w http.ResponseWriter, r *http.Request, file *clientFile) {
	header := w.Header()
	c.engine.SetCORS(header, r) // a module is loaded by the rules of CORS
	header.Set("Cache-Control", "public, max-age=0")
	header.Set("ETag", file.tag)
	header.Add("Vary", "Accept-Encoding")
	if file.isKnown(r.Header) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", file.kind)
	header.Set("X-Content-Type-Options", "nosniff")
	body := file.plain
	switch coding := engine.AcceptedCoding(r.Header); coding {
	case engine.CodingGzip:
		header.Set("Content-Encoding", string(coding))
		body = file.gzip()
	case engine.CodingDeflate:
		header.Set("Content-Encoding", string(coding))
		body = file.deflate()
	}
	_ = c.engine.WriteBody(w, body) // a client that does not get it is gone; for HEAD, net/http drops it
}

// clientFile is one file in the forms that clients ask for.
type clientFile struct {
	kind  string // Content-Type
	tag   string // ETag: the version, if the file says which, or a hash
	plain []byte

	gzip, deflate func() []byte // compress when first called
}

func newClientFile(name string, data []byte) *clientFile {
	file := &clientFile{kind: "application/javascript; charset=utf-8", plain: data}
	if strings.HasSuffix(name, ".map") {
		file.kind = "application/json; charset=utf-8"
	}
	if banner := clientBanner.FindSubmatch(data); banner != nil {
		file.tag = `"` + string(banner[1]) + `"`
	} else {
		sum := sha256.Sum256(data)
		file.tag = `"` + hex.EncodeToString(sum[:16]) + `"`
	}
	file.gzip = sync.OnceValue(func() []byte { return compressed(engine.CodingGzip, data) })
	file.deflate = sync.OnceValue(func() []byte { return compressed(engine.CodingDeflate, data) })
	return file
}

// compressed returns data as small as a coding makes it: it is done once.
func compressed(coding engine.Coding, data []byte) []byte {
	var out bytes.Buffer
	compressor := coding.NewCompressor(&out, flate.BestCompression)
	_, _ = compressor.Write(data) // a bytes.Buffer does not fail
	_ = compressor.Close()
	return out.Bytes()
}

// isKnown says whether If-None-Match names the file, weakly as it may be.
func (f *clientFile) isKnown(header http.Header) bool {
	for _, line := range header.Values("If-None-Match") {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == f.tag {
				return true
			}
		}
	}
	return false
}
