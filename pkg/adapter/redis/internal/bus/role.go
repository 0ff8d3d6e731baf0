package bus

import (
	"context"
	"errors"

	goredis "github.com/redis/go-redis/v9"
)

// errReplica means that messages were published where other nodes do not hear them.
var errReplica = errors.New("redis: the server has become a replica")

// checkRole reads the answer to ROLE. A replica takes messages and passes them on to
// its own subscribers only: if both connections are left on a master that was demoted
// and lives, probes come back, and nobody else hears this node. A server that does not
// answer is taken for a master.
func (l *lane) checkRole(role *goredis.SliceCmd) error {
	err := role.Err()
	if _, refusal := errors.AsType[goredis.Error](err); refusal {
		if goredis.IsPermissionError(err) {
			l.mute.Do(func() {
				l.health.logger.Warn("redis: the user may not ask for ROLE: that a master has become a replica would go unnoticed")
			})
		}
		return nil
	}
	if err != nil {
		return err
	}
	if answer := role.Val(); len(answer) > 0 && answer[0] == "slave" {
		l.pulse.void()
		return errReplica
	}
	return nil
}

// answers returns nil when Redis is there; whether it takes messages is for PUBLISH to
// say. A connection to a replica is given up, so that the next one goes to whoever is
// the master: the client keeps connections that work, and quitting is the only way to
// be rid of one. Both commands are pipelines, which have connections of their own.
func (l *lane) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.timing.Dial)
	defer cancel()
	if cluster, ok := l.client.(*goredis.ClusterClient); ok {
		cluster.ReloadState(ctx) // the master may be another one by now
	}
	target, err := l.target(ctx)
	if err == nil {
		err = knock(ctx, target)
	}
	if err != nil {
		return err
	}
	role := goredis.NewSliceCmd(ctx, "role")
	pipeline(ctx, target, role)
	err = l.checkRole(role)
	if errors.Is(err, errReplica) {
		pipeline(ctx, target, goredis.NewStatusCmd(ctx, "quit"))
	}
	return err
}

// knock fails when a server takes no connections. A command would too, but late: go-redis
// dials again and again for one, and after too many failures not at all for a while.
func knock(ctx context.Context, server goredis.UniversalClient) error {
	client, ok := server.(*goredis.Client)
	if !ok {
		return nil
	}
	o := client.Options()
	c, err := o.Dialer(ctx, o.Network, o.Addr)
	if err != nil {
		return err
	}
	_ = c.Close()
	return nil
}

func pipeline(ctx context.Context, target goredis.UniversalClient, command goredis.Cmder) {
	pipe := target.Pipeline()
	_ = pipe.Process(ctx, command)
	_, _ = pipe.Exec(ctx) // the command has its error
}
