package engine

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	extensionsHeader = "Sec-Websocket-Extensions"
	deflateExtension = "permessage-deflate"
)

// withJudgedOffers returns r as the WebSocket library is to see it, which would accept
// every offer of compression and not look at what it demands: with a plain offer if
// one of the client's is acceptable, else with none.
func withJudgedOffers(r *http.Request) *http.Request {
	lines := r.Header[extensionsHeader]
	if len(lines) == 0 {
		return r
	}
	judged := *r
	judged.Header = r.Header.Clone()
	judged.Header.Del(extensionsHeader)
	if slices.ContainsFunc(lines, hasAcceptableOffer) {
		judged.Header.Set(extensionsHeader, deflateExtension)
	}
	return &judged
}

func hasAcceptableOffer(line string) bool {
	for offer := range strings.SplitSeq(line, ",") {
		if isAcceptableOffer(offer) {
			return true
		}
	}
	return false
}

// isAcceptableOffer says whether an offer is of compression and allows how we
// compress: without takeover, and with the largest window. RFC 7692 has a server
// decline offers with parameters that it does not know, that are malformed or that
// repeat.
func isAcceptableOffer(offer string) bool {
	name, parameters, more := strings.Cut(offer, ";")
	if !strings.EqualFold(strings.TrimSpace(name), deflateExtension) {
		return false
	}
	var seen []string
	for more {
		var parameter string
		parameter, parameters, more = strings.Cut(parameters, ";")
		key, value, valued := strings.Cut(parameter, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if slices.Contains(seen, key) || !isAcceptableParameter(key, strings.TrimSpace(value), valued) {
			return false
		}
		seen = append(seen, key)
	}
	return true
}

func isAcceptableParameter(key, value string, valued bool) bool {
	switch key {
	case "server_no_context_takeover", "client_no_context_takeover":
		return !valued
	case "client_max_window_bits":
		return !valued || isWindow(value)
	}
	return false
}

// isWindow says whether value, which may be quoted, is the size of a window.
func isWindow(value string) bool {
	if len(value) > 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	bits, err := strconv.Atoi(value)
	return err == nil && bits >= 8 && bits <= 15 && strconv.Itoa(bits) == value
}
