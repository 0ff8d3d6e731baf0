package engine

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestExtension_OffersAreAcceptedThatAllowWhatWeDo(t *testing.T) {
	plain := []string{deflateExtension}
	for offer, want := range map[string][]string{
		"permessage-deflate":                                                 plain,
		" PerMessage-Deflate ;\tClient_Max_Window_Bits ":                     plain,
		`permessage-deflate; client_max_window_bits="15"`:                    plain,
		"permessage-deflate; server_max_window_bits=8, permessage-deflate":   plain,
		"permessage-deflate; server_no_context_takeover":                     plain,
		"permessage-deflate; server_max_window_bits=15":                      nil, // it would have to be confirmed
		"permessage-deflate; client_max_window_bits=07":                      nil,
		`permessage-deflate; client_max_window_bits="`:                       nil,
		`permessage-deflate; client_max_window_bits=""`:                      nil,
		"permessage-deflate; client_max_window_bits; client_max_window_bits": nil,
		"permessage-deflate; client_no_context_takeover=":                    nil,
		"permessage-deflate; other":                                          nil,
		"permessage-deflate;":                                                nil,
		"x-permessage-deflate, permessage-deflate=1, ,;":                     nil,
		"": nil,
		"permessage-deflate" + strings.Repeat(";client_max_window_bits=8", 5_000): nil,
	} {
		r := &http.Request{Header: http.Header{extensionsHeader: {"unknown", offer}}}
		if got := withJudgedOffers(r).Header[extensionsHeader]; !slices.Equal(got, want) {
			t.Errorf("%.60q: got %q, want %q", offer, got, want)
		}
		if got := r.Header.Values(extensionsHeader); len(got) != 2 {
			t.Errorf("%.60q: the request was changed to %q", offer, got)
		}
	}
}
