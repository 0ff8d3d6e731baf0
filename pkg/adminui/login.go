package adminui

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// sessionLife is how long a page can come back without the password.
const sessionLife = 24 * time.Hour

// credentials are what a page connects with: a name and a password, or the id of a session
// that it was given for them.
type credentials struct {
	Username  string `json:"username"`
	Password  string `json:"password"`
	SessionID string `json:"sessionId"`
}

// refusalsLogged is how many refused logins are logged in a second.
const refusalsLogged = 10

// The answers to whom is not let in. The page knows the first one.
var (
	errCredentials = &server.ConnectError{Message: "invalid credentials"}
	errAttempts    = &server.ConnectError{Message: "too many failed logins, try again later"}
)

// authenticate lets in who has the password or a session.
func (u *UI) authenticate(_ context.Context, s *server.Socket) error {
	refusal := u.admit(s.Handshake(), time.Now())
	if refusal == nil {
		return nil
	}
	u.refused.Warn("admin UI: login refused", "client", s.Handshake().RemoteAddr, "reason", refusal.Message)
	return refusal
}

// admit says why a client is not let in, or nil. When too many logins have failed, a
// password is not even looked at.
func (u *UI) admit(h *server.Handshake, now time.Time) *server.ConnectError {
	var c credentials
	switch err := h.DecodeAuth(&c); {
	case err != nil:
		return errCredentials
	case u.isSession(c.SessionID, now):
		return nil
	case c.Password == "": // guesses nothing, as a page whose session is over
		return errCredentials
	case !u.attempts.begin(h.RemoteAddr, now):
		return errAttempts
	case !u.isLogin(c):
		return errCredentials
	}
	u.attempts.succeeded(h.RemoteAddr, now)
	return nil
}

// isLogin compares in a time that does not depend on where the texts differ.
func (u *UI) isLogin(c credentials) bool {
	hash := func(text string) []byte {
		sum := sha256.Sum256([]byte(text))
		return sum[:]
	}
	name := subtle.ConstantTimeCompare(hash(c.Username), hash(u.options.Username))
	password := subtle.ConstantTimeCompare(hash(c.Password), hash(u.options.Password))
	return name&password == 1
}

// newSession returns the id of a session. It holds its end and a signature with a key that
// all nodes have, so that any node knows it and none has to keep it.
func (u *UI) newSession(now time.Time) string {
	end := binary.BigEndian.AppendUint64(nil, uint64(now.Add(sessionLife).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(end, u.sign(end)...))
}

func (u *UI) isSession(id string, now time.Time) bool {
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(raw) != 8+sha256.Size {
		return false
	}
	end := raw[:8]
	return hmac.Equal(raw[8:], u.sign(end)) && now.Unix() < int64(binary.BigEndian.Uint64(end))
}

// sign returns the signature of a session's end.
func (u *UI) sign(end []byte) []byte {
	key := sha256.Sum256([]byte(u.options.Username + "\x00" + u.options.Password))
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte("session of the admin UI until "))
	mac.Write(end)
	return mac.Sum(nil)
}
