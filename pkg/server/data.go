package server

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// data is what the program has attached to a socket: a value, or its JSON when
// the socket was restored and nobody has asked for the value yet. It is never
// changed, only replaced.
type data struct {
	value any
	json  jsontext.Value
}

// SetData attaches value to s, in place of what was attached before. Other nodes
// see it in FetchSockets, and it survives recovery, if it has a JSON form; a
// []byte inside becomes base64. What value refers to must not be changed any more:
// UpdateData replaces it. It is safe for concurrent use.
func SetData[T any](s *Socket, value T) {
	s.data.Store(&data{value: value})
	s.changed()
}

// Data returns what is attached to s, and false when nothing is or when it is not
// a T. After a recovery the value is decoded from JSON.
func Data[T any](s *Socket) (T, bool) { return valueOf[T](s.data.Load()) }

// UpdateData replaces what is attached to s by what change makes of it, in one
// step, and returns that. change gets the zero value when nothing is attached, or
// something that is not a T. It may be called more than once, when others attach something
// at the same time, and so it should do nothing else.
func UpdateData[T any](s *Socket, change func(T) T) T {
	for {
		before := s.data.Load()
		value, _ := valueOf[T](before)
		next := change(value)
		if s.data.CompareAndSwap(before, &data{value: next}) {
			s.changed()
			return next
		}
	}
}

func valueOf[T any](d *data) (value T, ok bool) {
	if d == nil {
		return value, false
	}
	if d.json == nil {
		value, ok = d.value.(T)
		return value, ok
	}
	err := json.Unmarshal(d.json, &value, jsontext.AllowDuplicateNames(true))
	return value, err == nil
}

// encode returns the JSON of d, or nil without data.
func (d *data) encode() (jsontext.Value, error) {
	if d == nil || d.json != nil {
		return d.restored(), nil
	}
	value, err := json.Marshal(d.value, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, fmt.Errorf("server: data of a socket: %w", err)
	}
	return value, nil
}

func (d *data) restored() jsontext.Value {
	if d == nil {
		return nil
	}
	return d.json
}
