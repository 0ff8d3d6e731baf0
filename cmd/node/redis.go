package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// redisTimeout bounds dialling, a read and a write each, unless the URL says
// otherwise: a Redis that hangs is noticed before the cluster's heartbeats expire.
const redisTimeout = 3 * time.Second

// redisFlags say where Redis is, in one of the ways in which it is run.
type redisFlags struct {
	Redis         string `placeholder:"URL" form:"redis-url" secret:"url" help:"Redis that connects the nodes, such as redis://user:password@host:6379/0 or rediss:// for TLS."`
	RedisCluster  string `placeholder:"URL" form:"redis-cluster-url" secret:"url" help:"Redis Cluster that connects the nodes, by one or more of its servers: redis://user:password@host:6379?addr=host2:6379&addr=host3:6379."`
	RedisSentinel string `placeholder:"URL" form:"redis-sentinel-url" secret:"url" help:"Redis behind Sentinels: redis://host:26379/0?master_name=NAME&addr=host2:26379. User and password are those of the Sentinels; Redis' own are the parameters username and password."`
	RedisCA       string `name:"redis-ca" placeholder:"FILE" form:"authorities" help:"Authorities (PEM) that vouch for the certificates of Redis, instead of the system's. For rediss:// URLs."`
}

// named says whether there is a Redis.
func (f *redisFlags) named() bool {
	return f.Redis != "" || f.RedisCluster != "" || f.RedisSentinel != ""
}

// connect makes a client, which does not use the network before it is asked to, and
// says where it goes, for the log.
func (f *redisFlags) connect() (client goredis.UniversalClient, where []any, err error) {
	switch {
	case f.RedisCluster != "":
		o, err := goredis.ParseClusterURL(f.RedisCluster)
		if err != nil {
			return nil, nil, withoutURL(err)
		}
		limit(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout)
		f.trust(o.TLSConfig)
		return goredis.NewClusterClient(o), []any{"redis_cluster", o.Addrs}, nil
	case f.RedisSentinel != "":
		o, err := parseSentinelURL(f.RedisSentinel)
		if err != nil {
			return nil, nil, withoutURL(err)
		}
		limit(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout)
		f.trust(o.TLSConfig)
		return goredis.NewFailoverClient(o), []any{"redis_sentinels", o.SentinelAddrs, "master", o.MasterName, "database", o.DB}, nil
	}
	o, err := goredis.ParseURL(f.Redis)
	if err != nil {
		return nil, nil, withoutURL(err)
	}
	limit(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout)
	f.trust(o.TLSConfig)
	return goredis.NewClient(o), []any{"redis", o.Addr, "database", o.DB}, nil
}

// check refuses authorities where there is no TLS.
func (f *redisFlags) check(s settings) error {
	url := cmp.Or(f.Redis, f.RedisCluster, f.RedisSentinel)
	if f.RedisCA != "" && !strings.HasPrefix(url, "rediss://") {
		return fmt.Errorf("%s needs a Redis whose URL begins with rediss://", s.written(s.find("redis-ca")))
	}
	return nil
}

// trust has connections accept what the authorities vouch for, if there are any.
func (f *redisFlags) trust(config *tls.Config) {
	if config != nil && f.RedisCA != "" {
		config.RootCAs, _ = authorities(f.RedisCA) // that it can be read is the flag's form
	}
}

// limit gives those of the timeouts a value that have none.
func limit(timeouts ...*time.Duration) {
	for _, t := range timeouts {
		*t = cmp.Or(*t, redisTimeout)
	}
}

// clientLog takes what the Redis client says, to the whole process, at the debug
// level: what an operator should know of it the adapter logs, once for each change.
type clientLog struct{ log *slog.Logger }

// Printf implements the client's interface.
func (l clientLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, args...))
}
