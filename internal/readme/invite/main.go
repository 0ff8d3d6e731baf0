// Package invite is what README.md shows of calls to the whole cluster.
package invite

import (
	"context"
	"errors"
	"log"

	"github.com/roomcast/roomcast/pkg/server"
)

type user struct{ Name string }

// Invite puts every socket of a user, on whatever node, into a room, and asks their clients.
func Invite(ctx context.Context, chat *server.Namespace, name, room string) error {
	their := chat.To("user:" + name)
	if err := their.Join(ctx, room); err != nil { // returns when emits to the room arrive
		return err
	}
	for accepted, err := range server.CallAll[bool](ctx, their, "invited", room).Each() { // as they answer
		log.Println(accepted, err)
	}
	sockets, err := chat.To(room).FetchSockets(ctx)
	var missing *server.PartialError
	if errors.As(err, &missing) {
		log.Println("these nodes did not answer:", missing.Nodes) // the others did: sockets has theirs
	}
	for _, s := range sockets {
		var u user
		if err := s.DecodeData(&u); err != nil {
			return err
		}
		log.Println(s.ID, u.Name, s.Rooms)
	}
	return nil
}
