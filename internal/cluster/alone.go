package cluster

import (
	"context"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// alone is the adapter of a node that has no others: nobody hears, nobody speaks.
type alone struct{}

func (alone) Join(context.Context, string, adapter.NodeID, func(*adapter.Message)) (adapter.Link, error) {
	return alone{}, nil
}

func (alone) Publish(context.Context, *adapter.Message) error { return nil }

func (alone) Close(context.Context) error { return nil }
