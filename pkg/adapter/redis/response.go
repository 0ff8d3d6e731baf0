package redis

import (
	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/packet"
)

// response is a received response.
type response struct {
	id        string
	kind      requestType // typeMissing where Node.js does not say it
	receivers int64
	fetched   bool // it has a member sockets
	sockets   []adapter.Socket
	listed    bool // it has a member rooms
	rooms     []string
	answer    []byte // MessagePack; nil when undefined
}

// readResponse reads a response of a Node.js server. It does not say whom it is for,
// so that those to other nodes' requests arrive too. It returns nil for one that no
// request of ours can have.
func (c *classic) readResponse(a bus.Arrival) (*adapter.Message, error) {
	s := &response{kind: typeMissing}
	if err := readObject([]byte(a.Payload), s.member); err != nil {
		return nil, err
	}
	r, err := s.response(c.topic)
	if err != nil || r == nil {
		return nil, err
	}
	return &adapter.Message{From: nodejsID, To: c.self, Kind: adapter.KindResponse, Response: r}, nil
}

func (s *response) member(key []byte, r *msgpack.Reader) (err error) {
	switch string(key) {
	case "requestId":
		s.id, err = readID(r)
	case "type":
		var kind int64
		kind, err = r.Int()
		s.kind = requestType(kind)
	case "clientCount":
		s.receivers, err = r.Int()
	case "sockets":
		s.fetched = true
		err = s.readSockets(r)
	case "rooms":
		s.listed = true
		s.rooms, err = readNames(r)
	case "data", "packet":
		s.answer, err = r.Skip()
	default:
		_, err = r.Skip()
	}
	return err
}

// maxReceivers is more than a node can have.
const maxReceivers = 1 << 30

// response says what was answered.
func (s *response) response(namespace string) (r *adapter.Response, err error) {
	r = &adapter.Response{ID: s.id}
	switch {
	case s.id == "":
		return nil, adapter.ErrMalformed
	case s.kind == typeReceivers && s.receivers >= 0 && s.receivers <= maxReceivers:
		r.Action, r.Receivers = adapter.ActionCall, int(s.receivers)
	case s.kind == typeAnswer:
		r.Action = adapter.ActionCall
		r.Answer, err = s.acknowledgement(namespace)
	case s.kind == typeEvent:
		r.Action, r.Done = adapter.ActionEvent, true
		r.Answer, err = s.acknowledgement(namespace)
	case s.kind != typeMissing:
		return nil, adapter.ErrMalformed
	case s.fetched:
		r.Action, r.Done, r.Receivers, r.Sockets = adapter.ActionFetch, true, len(s.sockets), s.sockets
	case s.listed:
		r.Action, r.Done, r.Rooms = adapter.ActionRooms, true, s.rooms
	default:
		return nil, nil // confirms what only older versions ask for
	}
	return r, err
}

// acknowledgement decodes the answer, a single argument.
func (s *response) acknowledgement(namespace string) (*packet.Packet, error) {
	p := &packet.Packet{Type: packet.Ack, Namespace: namespace, Data: []byte("[]")}
	if s.answer == nil {
		return p, nil
	}
	r := msgpack.NewReader(s.answer)
	data, attachments, err := r.AppendJSON([]byte("["), nil)
	if err != nil {
		return nil, err
	}
	p.Data, p.Attachments = append(data, ']'), attachments
	return p, nil
}

func (s *response) readSockets(r *msgpack.Reader) error {
	n, err := r.ArrayLen()
	if err == nil && n > maxElements {
		err = adapter.ErrMalformed
	}
	for ; n > 0 && err == nil; n-- {
		var one adapter.Socket
		if r.Peek() == msgpack.String {
			one.ID, err = readID(r)
		} else {
			one, err = readSocket(r)
		}
		if err == nil && one.ID == "" {
			err = adapter.ErrMalformed
		}
		s.sockets = append(s.sockets, one)
	}
	return err
}

func readSocket(r *msgpack.Reader) (s adapter.Socket, err error) {
	err = readMap(r, func(key []byte, r *msgpack.Reader) (err error) {
		switch string(key) {
		case "id":
			s.ID, err = readID(r)
		case "rooms":
			s.Rooms, err = readNames(r)
		case "handshake":
			s.Handshake, err = readJSON(r)
		case "data":
			s.Data, err = readJSON(r)
		default:
			_, err = r.Skip()
		}
		return err
	})
	return s, err
}

// readJSON reads a value that has no place for attachments.
func readJSON(r *msgpack.Reader) ([]byte, error) {
	value, attachments, err := r.AppendJSON(nil, nil)
	if err == nil && len(attachments) > 0 {
		err = adapter.ErrMalformed
	}
	return value, err
}
