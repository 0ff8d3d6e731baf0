package router

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

var secret = []byte("0123456789abcdef")

func signer(t testing.TB, address string) *Signer {
	t.Helper()
	s, err := NewSigner(secret, address)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// announce returns a heartbeat of member with the address of s.
func announce(s *Signer, member adapter.NodeID, tag uint32) *adapter.Heartbeat {
	h := &adapter.Heartbeat{Tag: tag}
	s.Announce(member, h)
	return h
}

// trusts is Trusts without the reason.
func trusts(s *Signer, member adapter.NodeID, h *adapter.Heartbeat) bool {
	trusted, _ := s.Trusts(member, h)
	return trusted
}

func TestSigner_RefusesAShortSecretAndAWrongAddress(t *testing.T) {
	if _, err := NewSigner(secret[:15], ""); !errors.Is(err, ErrSecret) {
		t.Errorf("15 bytes: got %v", err)
	}
	if _, err := NewSigner(secret, "10.0.0.7"); !errors.Is(err, ErrAddress) {
		t.Errorf("an address without a scheme: got %v", err)
	}
}

func TestAnnouncement_OfAMemberIsTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := signer(t, "http://a:1"), signer(t, "http://b:1")
		for range 10 {
			h := announce(a, "a", 7)
			if h.Address != "http://a:1" || !trusts(b, "a", h) {
				t.Fatalf("address %q is not trusted", h.Address)
			}
			if bytes.Contains(h.Proof, secret) {
				t.Fatal("the secret is sent")
			}
			time.Sleep(5 * time.Second)
		}
	})
}

// Ways between nodes keep no order among each other: who is overtaken has done no wrong.
func TestAnnouncement_ThatIsOvertakenIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := signer(t, "http://a:1"), signer(t, "http://b:1")
		first := announce(a, "a", 7)
		time.Sleep(time.Nanosecond)
		second := announce(a, "a", 7)
		if trusted, err := b.Trusts("a", second); !trusted || err != nil {
			t.Errorf("got %v, %v", trusted, err)
		}
		if trusted, err := b.Trusts("a", first); trusted || err != nil {
			t.Errorf("the one that was overtaken: got %v, %v", trusted, err)
		}
	})
}

func TestAnnouncement_WithoutAnAddressSaysNothing(t *testing.T) {
	if h := announce(signer(t, ""), "a", 7); h.Address != "" || h.Proof != nil {
		t.Errorf("got %q with a proof of %d bytes", h.Address, len(h.Proof))
	}
}

func TestAnnouncement_ForgedIsNotTrusted(t *testing.T) {
	other, err := NewSigner([]byte("another secret, as long"), "http://evil:1")
	if err != nil {
		t.Fatal(err)
	}
	genuine := signer(t, "http://a:1")
	for name, forge := range map[string]func() (adapter.NodeID, *adapter.Heartbeat){
		"no proof": func() (adapter.NodeID, *adapter.Heartbeat) {
			return "a", &adapter.Heartbeat{Tag: 7, Address: "http://evil:1"}
		},
		"another secret": func() (adapter.NodeID, *adapter.Heartbeat) { return "a", announce(other, "a", 7) },
		"another member": func() (adapter.NodeID, *adapter.Heartbeat) { return "b", announce(genuine, "a", 7) },
		"another tag": func() (adapter.NodeID, *adapter.Heartbeat) {
			h := announce(genuine, "a", 7)
			h.Tag = 8
			return "a", h
		},
		"another address": func() (adapter.NodeID, *adapter.Heartbeat) {
			h := announce(genuine, "a", 7)
			h.Address = "http://evil:1"
			return "a", h
		},
		"another time": func() (adapter.NodeID, *adapter.Heartbeat) {
			h := announce(genuine, "a", 7)
			h.Proof[timeSize-1]++
			return "a", h
		},
		"cut": func() (adapter.NodeID, *adapter.Heartbeat) {
			h := announce(genuine, "a", 7)
			h.Proof = h.Proof[:len(h.Proof)-1]
			return "a", h
		},
		"no signature": func() (adapter.NodeID, *adapter.Heartbeat) {
			h := announce(genuine, "a", 7)
			h.Proof = h.Proof[:timeSize]
			return "a", h
		},
		"bytes moved from one field to the next": func() (adapter.NodeID, *adapter.Heartbeat) { return "a7", announce(genuine, "a", 77) },
		"a signed address that is none": func() (adapter.NodeID, *adapter.Heartbeat) {
			s := signer(t, "http://a:1")
			s.address = "http://user@evil:1/path"
			return "a", announce(s, "a", 7)
		},
	} {
		id, h := forge()
		if trusted, err := signer(t, "").Trusts(id, h); trusted || err == nil {
			t.Errorf("%s: trusted", name)
		}
	}
}

func TestAnnouncement_IsTrustedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := signer(t, "http://a:1"), signer(t, "http://b:1")
		first := announce(a, "a", 7)
		time.Sleep(time.Second)
		second := announce(a, "a", 7)
		if !trusts(b, "a", first) || !trusts(b, "a", second) {
			t.Fatal("genuine ones are not trusted")
		}
		for range 100 {
			if trusts(b, "a", first) || trusts(b, "a", second) {
				t.Fatal("trusted again")
			}
			time.Sleep(time.Second)
		}
	})
}

func TestAnnouncement_IsTrustedWithinTheSkewOfClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := announce(signer(t, "http://a:1"), "a", 7)
		time.Sleep(maxSkew)
		if !trusts(signer(t, ""), "a", h) {
			t.Error("not trusted within the skew")
		}
		time.Sleep(time.Millisecond)
		if trusted, err := signer(t, "").Trusts("a", h); trusted || !errors.Is(err, ErrClock) {
			t.Errorf("beyond the skew: got %v, %v", trusted, err)
		}
	})
}

func TestAnnouncement_OfManyMembersIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := signer(t, "http://a:1"), signer(t, "")
		for i := range 1000 {
			id := adapter.NodeID(rune(i))
			if !trusts(b, id, announce(a, id, 7)) {
				t.Fatal("not trusted")
			}
			time.Sleep(time.Second)
		}
		if got := len(b.newest); got > 32 {
			t.Errorf("%d members are remembered, one came each second", got)
		}
	})
}
