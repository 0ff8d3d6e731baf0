package redis_test

import (
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

func TestNew_RefusesWhatCannotWork(t *testing.T) {
	ring := goredis.NewRing(&goredis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	defer ring.Close()
	replicas := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, RouteRandomly: true})
	defer replicas.Close()
	client := newClient(t, "127.0.0.1:1")
	for name, c := range map[string]struct {
		client goredis.UniversalClient
		opts   redis.Options
		want   string
	}{
		"no client":              {nil, redis.Options{}, "client"},
		"a ring":                 {ring, redis.Options{}, "Ring"},
		"negative message":       {client, redis.Options{MaxMessageBytes: -1}, "MaxMessageBytes"},
		"negative queue":         {client, redis.Options{PublishQueueBytes: -1}, "PublishQueueBytes"},
		"a short key":            {client, redis.Options{HMACKey: make([]byte, 15)}, "HMACKey"},
		"an empty key":           {client, redis.Options{HMACKey: []byte{}}, "HMACKey"},
		"Node.js and interest":   {client, redis.Options{NodeJS: true, InterestRouting: true}, "InterestRouting"},
		"Node.js and signatures": {client, redis.Options{NodeJS: true, HMACKey: make([]byte, 16)}, "HMACKey"},
		"replicas":               {replicas, redis.Options{NodeJS: true}, "replicas"},
	} {
		_, err := redis.New(c.client, c.opts)
		refused(t, name, err, c.want)
		_, err = redis.NewSharded(c.client, redis.ShardedOptions{Options: c.opts})
		refused(t, name+", sharded", err, c.want)
	}
	for name, c := range map[string]struct {
		client goredis.UniversalClient
		opts   redis.ShardedOptions
		want   string
	}{
		"no mode":                  {client, redis.ShardedOptions{SubscriptionMode: 3}, "SubscriptionMode"},
		"a negative mode":          {client, redis.ShardedOptions{SubscriptionMode: -1}, "SubscriptionMode"},
		"interest without rooms":   {client, redis.ShardedOptions{SubscriptionMode: redis.Static, Options: interested}, "InterestRouting"},
		"interest and private":     {client, redis.ShardedOptions{SubscriptionMode: redis.DynamicPrivate, Options: interested}, "InterestRouting"},
		"a channel that is always": {client, redis.ShardedOptions{Options: redis.Options{PublishOnSpecificResponseChannel: true}}, "PublishOnSpecificResponseChannel"},
		"replicas":                 {replicas, redis.ShardedOptions{}, "replicas"},
		"nothing":                  {client, redis.ShardedOptions{}, ""},
	} {
		_, err := redis.NewSharded(c.client, c.opts)
		refused(t, name, err, c.want)
	}
}

// refused checks that err names what cannot be meant; with no text, that there is none.
func refused(t *testing.T, name string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: got %v", name, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: got %v, want an error that names %s", name, err, want)
	}
}
