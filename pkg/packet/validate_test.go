package packet

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func nested(levels int) jsontext.Value {
	return jsontext.Value(`["e",` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `]`)
}

func TestValidate_WhatItsTypeAllows(t *testing.T) {
	one, two := [][]byte{{1}}, [][]byte{{1}, {2}}
	const first, second = `{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":1}`
	for name, p := range map[string]Packet{
		"connect":                {Type: Connect},
		"connect with auth":      {Type: Connect, Data: jsontext.Value(`{"a":` + first + `}`)},
		"disconnect":             {Type: Disconnect},
		"event":                  {Type: Event, Data: jsontext.Value(`["e"]`)},
		"event named by number":  {Type: Event, Data: jsontext.Value(`[1,2]`), HasID: true},
		"ack":                    {Type: Ack, Data: jsontext.Value(`[]`), HasID: true},
		"error":                  {Type: ConnectError, Data: jsontext.Value(`"no"`)},
		"attachments":            {Type: Event, Data: jsontext.Value(`["e",` + second + `,[` + first + `]]`), Attachments: two},
		"ack with attachment":    {Type: Ack, Data: jsontext.Value(`[` + first + `]`), HasID: true, Attachments: one},
		"looks like placeholder": {Type: Event, Data: jsontext.Value(`["e",{"_placeholder":true,"num":7}]`)},
		"deepest":                {Type: Event, Data: nested(1000)},
	} {
		if err := p.Validate(Limits{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidate_RefusesWhatNoDecoderMakes(t *testing.T) {
	one := [][]byte{{1}}
	const first = `{"_placeholder":true,"num":0}`
	for name, c := range map[string]struct {
		p    Packet
		want error
	}{
		"unknown type":               {Packet{Type: 7}, ErrInvalid},
		"binary type":                {Packet{Type: BinaryEvent, Data: jsontext.Value(`["e"]`)}, ErrInvalid},
		"connect with null":          {Packet{Type: Connect, Data: jsontext.Value(`null`)}, ErrInvalid},
		"connect with attachment":    {Packet{Type: Connect, Data: jsontext.Value(`{"a":` + first + `}`), Attachments: one}, ErrInvalid},
		"error with attachment":      {Packet{Type: ConnectError, Data: jsontext.Value(first), Attachments: one}, ErrInvalid},
		"disconnect with data":       {Packet{Type: Disconnect, Data: jsontext.Value(`{}`)}, ErrInvalid},
		"event without data":         {Packet{Type: Event}, ErrInvalid},
		"event without name":         {Packet{Type: Event, Data: jsontext.Value(`[]`)}, ErrInvalid},
		"event of reserved name":     {Packet{Type: Event, Data: jsontext.Value(`["disconnecting"]`)}, ErrInvalid},
		"event named by attachment":  {Packet{Type: Event, Data: jsontext.Value(`[` + first + `]`), Attachments: one}, ErrInvalid},
		"ack without id":             {Packet{Type: Ack, Data: jsontext.Value(`[]`)}, ErrInvalid},
		"id where there is none":     {Packet{Type: Connect, HasID: true}, ErrInvalid},
		"no JSON":                    {Packet{Type: Event, Data: jsontext.Value(`["e",]`)}, ErrInvalid},
		"no UTF-8":                   {Packet{Type: Event, Data: jsontext.Value("[\"\xff\"]")}, ErrInvalid},
		"attachment unused":          {Packet{Type: Event, Data: jsontext.Value(`["e"]`), Attachments: one}, ErrInvalid},
		"attachment used twice":      {Packet{Type: Event, Data: jsontext.Value(`["e",` + first + `,` + first + `]`), Attachments: one}, ErrInvalid},
		"placeholder of no number":   {Packet{Type: Event, Data: jsontext.Value(`["e",` + first + `,{"_placeholder":true}]`), Attachments: one}, ErrInvalid},
		"placeholder out of range":   {Packet{Type: Event, Data: jsontext.Value(`["e",{"_placeholder":true,"num":1}]`), Attachments: one}, ErrInvalid},
		"placeholder inside another": {Packet{Type: Event, Data: jsontext.Value(`["e",{"_placeholder":true,"num":0,"x":` + first + `}]`), Attachments: one}, ErrInvalid},
		"deeper than the limit":      {Packet{Type: Event, Data: nested(1001)}, ErrLimit},
	} {
		if err := c.p.Validate(Limits{}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestValidate_DepthIsThatOfTheLimits(t *testing.T) {
	p := Packet{Type: Event, Data: nested(4)}
	if err := p.Validate(Limits{MaxDepth: 4}); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if err := p.Validate(Limits{MaxDepth: 3}); !errors.Is(err, ErrLimit) {
		t.Errorf("beyond the limit: got %v, want ErrLimit", err)
	}
	bare := Packet{Type: Connect}
	if err := bare.Validate(Limits{MaxDepth: -1}); err != nil {
		t.Errorf("a packet without data has no depth: %v", err)
	}
}

func TestLimits_AttachmentBytes(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		want   int64
	}{
		{Limits{}, 10_000_000}, {Limits{MaxAttachments: 3}, 3_000_000}, {Limits{MaxAttachments: -1}, 0},
		{Limits{MaxAttachmentBytes: 5}, 5}, {Limits{MaxAttachmentBytes: -1}, 1<<63 - 1},
	} {
		if got := c.limits.AttachmentBytes(); got != c.want {
			t.Errorf("%+v: got %d, want %d", c.limits, got, c.want)
		}
	}
}
