package engine

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
)

func TestElsewhere_AnswersWithItsHeadersAlone(t *testing.T) {
	var asked []string
	inBubble(t, Options{
		CORS:    &CORS{Origins: []string{"https://shop.example"}},
		Headers: func(h http.Header, _ *http.Request) { h.Set("X-App", "1") },
		Elsewhere: func(w http.ResponseWriter, _ *http.Request, id string) error {
			asked = append(asked, id)
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "there")
			return nil
		},
	}, func(f *fixture) {
		for _, method := range []string{"GET", "POST"} {
			a := f.do(method, pollQuery+"&sid=x", "", "Origin", "https://evil.example")
			a.expect(t, http.StatusTeapot, "there")
			for _, name := range []string{"Cache-Control", "X-App", "Access-Control-Allow-Origin", "Vary"} {
				if got := a.header[name]; got != nil {
					t.Errorf("%s is %q", name, got)
				}
			}
		}
		if len(asked) != 2 || asked[0] != "x" || asked[1] != "x" {
			t.Errorf("asked about %q", asked)
		}
		if got := f.engine.Stats().Refused[reasonSession]; got != 0 {
			t.Errorf("%d were refused", got)
		}
	})
}

func TestElsewhere_IsNotAskedAboutWhatIsHere(t *testing.T) {
	inBubble(t, Options{Elsewhere: func(_ http.ResponseWriter, r *http.Request, _ string) error {
		t.Errorf("asked about %s", r.URL)
		return nil
	}}, func(f *fixture) {
		p, _ := f.openPolling()
		p.post("4a").expect(t, http.StatusOK, "ok")
		f.do("GET", "EIO=4&transport=polling&sid=%zz", "").expect(t, http.StatusBadRequest, `{"code":3,"message":"Bad request"}`)
		f.do("GET", pollQuery+"&sid=", "")
	})
}

func TestElsewhere_ErrorIsTheRefusal(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		status int
		body   string
		reason string
	}{
		"any":     {errors.New("the owner is gone"), http.StatusBadRequest, unknownSession, reasonSession},
		"full":    {fmt.Errorf("%w: here", ErrFull), http.StatusServiceUnavailable, messageUnavailable, reasonConnections},
		"closing": {fmt.Errorf("%w: here", ErrClosing), http.StatusServiceUnavailable, messageUnavailable, reasonClosing},
	} {
		t.Run(name, func(t *testing.T) {
			var told []Refusal
			inBubble(t, Options{
				Headers:   func(h http.Header, _ *http.Request) { h.Set("X-App", "1") },
				OnRefused: func(_ *http.Request, r Refusal) { told = append(told, r) },
				Elsewhere: func(http.ResponseWriter, *http.Request, string) error { return tt.err },
			}, func(f *fixture) {
				a := f.do("GET", pollQuery+"&sid=x", "")
				a.expect(t, tt.status, tt.body)
				if a.header.Get("X-App") != "1" || len(told) != 1 || told[0].Reason != tt.reason {
					t.Errorf("headers %v, told of %+v", a.header, told)
				}
				f.do("GET", "EIO=4&transport=pigeon&sid=x", "").expect(t, http.StatusBadRequest, `{"code":0,"message":"Transport unknown"}`)
			})
		})
	}
}

func TestElsewhere_BreaksAnAnswerOff(t *testing.T) {
	inBubble(t, Options{Elsewhere: func(w http.ResponseWriter, _ *http.Request, _ string) error {
		_, _ = io.WriteString(w, "begun")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}}, func(f *fixture) {
		if a := f.do("GET", pollQuery+"&sid=x", ""); a.err == nil {
			t.Errorf("the answer seems to be whole: %q", a.body)
		}
		if got := f.engine.Stats().Panics; got != 0 {
			t.Errorf("%d panics are counted", got)
		}
	})
}
