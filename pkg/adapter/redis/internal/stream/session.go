package stream

import (
	"context"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// session is one connection to the server that has the stream, outside of the
// client's pool: a read that waits for entries must not take a connection from
// others, has another time limit, and must end at once when it is no longer wanted.
type session struct {
	client *goredis.Client
	conn   *goredis.Conn
	asking bool
	ended  chan struct{}
	closer sync.WaitGroup

	mu     sync.Mutex
	busy   bool // a command is under way
	ending bool // no other may begin
}

// open connects with its first command. It never connects again: an error of run that
// is no refusal is the session's end. What waits for a reply fails as soon as ctx has
// ended, or after limit.
func (p *place) open(ctx context.Context, limit, dial time.Duration) (*session, error) {
	client, asking, err := p.find(ctx)
	if err != nil {
		return nil, err
	}
	options := *client.Options()
	options.Protocol = 2 // replies are as in all versions of Redis
	// More than one, of which one is used: a pool whose last place has failed to connect
	// goes on trying by itself.
	options.PoolSize, options.MinIdleConns, options.MaxIdleConns, options.MaxActiveConns = 4, 0, 0, 0
	options.PipelinePoolSize = 0
	options.MaxRetries, options.DialerRetries = -1, 1
	options.DialTimeout = min(options.DialTimeout, dial)
	options.ReadTimeout, options.WriteTimeout = limit, limit
	options.ConnMaxIdleTime, options.ConnMaxLifetime = -1, 0
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	options.ClientSideCacheConfig, options.ClientSideCache = nil, nil
	options.PushNotificationProcessor = nil
	own := goredis.NewClient(&options)
	s := &session{client: own, conn: own.Conn(), asking: asking, ended: make(chan struct{})}
	s.closer.Go(func() {
		select {
		case <-ctx.Done():
			s.interrupt()
		case <-s.ended:
		}
	})
	return s, nil
}

// interrupt makes a command that is under way fail, and those that follow.
func (s *session) interrupt() {
	s.mu.Lock()
	s.ending = true
	busy := s.busy
	s.mu.Unlock()
	if busy {
		_ = s.client.Close()
	}
}

// close ends the connection.
func (s *session) close() {
	close(s.ended)
	s.closer.Wait()
	_ = s.conn.Close()
	_ = s.client.Close()
}

// begin says whether a command may begin.
func (s *session) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = !s.ending
	return s.busy
}

func (s *session) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
}

// run implements commander.
func (s *session) run(ctx context.Context, commands ...command) error {
	if !s.begin() {
		return context.Canceled
	}
	defer s.done()
	return exec(ctx, s.conn.Pipeline(), s.asking, commands)
}
