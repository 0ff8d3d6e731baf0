package server

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxCredential is the largest number of bytes of a private id or an offset, as JSON.
const maxCredential = 256

// credentials are what a client sends that comes back.
type credentials struct{ privateID, offset string }

func (c credentials) complete() bool { return c.privateID != "" && c.offset != "" }

// cutCredentials takes what belongs to recovery out of an auth payload: it is a
// secret, and none of the application's business.
func cutCredentials(auth jsontext.Value) (c credentials, rest jsontext.Value) {
	if !mayHaveCredentials(auth) {
		return c, auth
	}
	var private struct {
		PrivateID jsontext.Value `json:"pid"`
		Offset    jsontext.Value `json:"offset"`
	}
	if json.Unmarshal(auth, &private, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil {
		return c, auth
	}
	if isCredential(private.PrivateID) && isCredential(private.Offset) {
		c.privateID, c.offset = textOf(private.PrivateID), textOf(private.Offset)
	}
	if private.PrivateID == nil && private.Offset == nil {
		return c, auth
	}
	return c, withoutMembers(auth, "pid", "offset")
}

// mayHaveCredentials spares most payloads the decoding. A name may have escapes.
func mayHaveCredentials(auth jsontext.Value) bool {
	return bytes.IndexByte(auth, '\\') >= 0 || bytes.Contains(auth, []byte(`"pid"`)) || bytes.Contains(auth, []byte(`"offset"`))
}

// isCredential says whether v may be what a client was given: a text, and none that
// would cost something to keep or to look for.
func isCredential(v jsontext.Value) bool { return v.Kind() == '"' && len(v) <= maxCredential }

func textOf(quoted jsontext.Value) string {
	text, _ := jsontext.AppendUnquote(nil, quoted) // a lone surrogate becomes U+FFFD, which no id has
	return string(text)
}

// withoutMembers returns a JSON object without the members of these names, nil if
// there are no others.
func withoutMembers(object jsontext.Value, names ...string) jsontext.Value {
	decoder := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := decoder.ReadToken(); err != nil {
		return object
	}
	rest := jsontext.Value("{")
	for decoder.PeekKind() == '"' {
		name, err := decoder.ReadValue()
		if err != nil {
			return object
		}
		name = name.Clone() // the next read moves it
		value, err := decoder.ReadValue()
		if err != nil {
			return object
		}
		if slices.Contains(names, textOf(name)) {
			continue
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		rest = append(append(append(rest, name...), ':'), value...)
	}
	if len(rest) == 1 {
		return nil
	}
	return append(rest, '}')
}
