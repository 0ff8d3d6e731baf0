package redis

import (
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/wire"
)

// seal signs what o carries, if there is a key. The signature covers the channel, so that
// nobody can move a message to another one.
func (l *link) seal(o *bus.Outgoing) {
	if key := l.adapter.opts.HMACKey; key != nil {
		o.Body = wire.Seal(nil, key, o.Channel, o.Body)
	}
}

// unseal takes the signature off a's payload. It fails with wire.ErrUnsigned.
func (l *link) unseal(a *bus.Arrival) error {
	key := l.adapter.opts.HMACKey
	if key == nil {
		return nil
	}
	body, err := wire.Open(key, a.Channel, []byte(a.Payload))
	a.Payload = string(body)
	return err
}
