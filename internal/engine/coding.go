package engine

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Coding is how the body of an HTTP response is compressed, in the words of the
// Content-Encoding header.
type Coding string

// The codings.
const (
	CodingIdentity Coding = "" // not at all
	CodingGzip     Coding = "gzip"
	CodingDeflate  Coding = "deflate" // the zlib format, as HTTP defines it
)

// AcceptedCoding returns the coding that a request's Accept-Encoding prefers:
// gzip if it prefers none, and CodingIdentity if it says nothing.
func AcceptedCoding(header http.Header) Coding {
	const unlisted = -1
	gzipped, deflated, identity, others := unlisted, unlisted, 0, 0
	for _, line := range header.Values("Accept-Encoding") {
		for element := range strings.SplitSeq(line, ",") {
			name, parameters, _ := strings.Cut(element, ";")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				gzipped = quality(parameters)
			case "deflate":
				deflated = quality(parameters)
			case "identity":
				identity = quality(parameters)
			case "*":
				others = quality(parameters)
			}
		}
	}
	if gzipped == unlisted {
		gzipped = others
	}
	if deflated == unlisted {
		deflated = others
	}
	switch best := max(gzipped, deflated); {
	case best == 0 || best < identity:
		return CodingIdentity
	case gzipped == best:
		return CodingGzip
	}
	return CodingDeflate
}

// quality returns the q of an element's parameters in thousandths: 1000 if there
// is none, 0 if it is malformed.
func quality(parameters string) int {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			return thousandths(strings.TrimSpace(value))
		}
	}
	return 1000
}

// thousandths reads a number from 0 to 1 with at most three decimals; what is
// none is 0.
func thousandths(value string) int {
	whole, decimals, _ := strings.Cut(value, ".")
	if whole != "0" && whole != "1" || len(decimals) > 3 {
		return 0
	}
	n := int(whole[0] - '0')
	for i := range 3 {
		digit := byte('0')
		if i < len(decimals) {
			digit = decimals[i]
		}
		if digit < '0' || digit > '9' {
			return 0
		}
		n = n*10 + int(digit-'0')
	}
	if n > 1000 {
		return 0
	}
	return n
}

// Compressor is what gzip.Writer and zlib.Writer have in common.
type Compressor interface {
	io.WriteCloser
	// Reset makes it as new, for another writer.
	Reset(io.Writer)
}

// NewCompressor returns a writer to w for a coding other than CodingIdentity.
// level is one of compress/flate's.
func (c Coding) NewCompressor(w io.Writer, level int) Compressor {
	var compressor Compressor
	if c == CodingGzip {
		compressor, _ = gzip.NewWriterLevel(w, level) // fails only for an unknown level
	} else {
		compressor, _ = zlib.NewWriterLevel(w, level)
	}
	return compressor
}

var (
	gzippers = sync.Pool{New: func() any { return CodingGzip.NewCompressor(nil, flate.BestSpeed) }}
	zlibbers = sync.Pool{New: func() any { return CodingDeflate.NewCompressor(nil, flate.BestSpeed) }}
)

// appendCompressed appends data in a coding other than CodingIdentity.
func (c Coding) appendCompressed(dst, data []byte) []byte {
	pool := &zlibbers
	if c == CodingGzip {
		pool = &gzippers
	}
	compressor := pool.Get().(Compressor)
	defer pool.Put(compressor)
	out := bytes.NewBuffer(dst)
	compressor.Reset(out)
	_, _ = compressor.Write(data) // a bytes.Buffer does not fail
	_ = compressor.Close()
	return out.Bytes()
}

// payloadCoding returns how the answer to a poll is compressed, and says so in
// the response's headers. What must not be compressed is not, whatever goes
// beside it: the length of both together would tell of its contents.
func (e *Engine) payloadCoding(header http.Header, r *http.Request, messages []*Message, size int) Coding {
	threshold := e.options.HTTPCompressionThreshold
	if threshold < 0 || size < threshold || slices.ContainsFunc(messages, func(m *Message) bool { return m.uncompressed }) {
		return CodingIdentity
	}
	header.Add("Vary", "Accept-Encoding")
	coding := AcceptedCoding(r.Header)
	if coding != CodingIdentity {
		header.Set("Content-Encoding", string(coding))
	}
	return coding
}
