// Command slow measures what a client that never reads costs the others: the
// 99th percentile of their latency with and without it, in alternated rounds.
// Its room gets 1,000 events of 1 KB a second.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/pkg/server"
)

func main() {
	rounds := flag.Int("rounds", 5, "rounds, each with and without the client that never reads")
	clients := flag.Int("clients", 20, "clients that read")
	duration := flag.Duration("duration", 15*time.Second, "length of one measurement; the kernel takes some seconds' worth before the queue fills")
	flag.Parse()
	var with, without []time.Duration
	for i := range *rounds {
		for _, slow := range []bool{i%2 == 0, i%2 != 0} {
			p99, err := measure(*clients, *duration, slow)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("round %d  never-reading client: %-5v  p99 %v\n", i+1, slow, p99)
			if slow {
				with = append(with, p99)
			} else {
				without = append(without, p99)
			}
		}
	}
	fmt.Printf("median p99: %v with, %v without, ratio %.2f\n", median(with), median(without), float64(median(with))/float64(median(without)))
}

// measure runs a server, its clients and the load once.
func measure(clients int, duration time.Duration, slow bool) (p99 time.Duration, err error) {
	srv, err := server.New(server.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	srv.Of("/").OnConnect(func(ctx context.Context, s *server.Socket) error { return s.Join(ctx, "room") })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	web := &http.Server{Handler: srv}
	server.ConfigureHTTP(web)
	var serving sync.WaitGroup
	serving.Go(func() { _ = web.Serve(listener) })
	defer func() {
		err = errors.Join(err, srv.Shutdown(context.Background()), web.Close())
		serving.Wait()
	}()

	if slow {
		conn, err := dial(listener.Addr().String())
		if err != nil {
			return 0, err
		}
		defer func() { _ = conn.Close() }()
		if err := conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			return 0, err
		}
	}
	var (
		reading   sync.WaitGroup
		mu        sync.Mutex
		latencies []time.Duration
	)
	begin := time.Now()
	for range clients {
		conn, err := dial(listener.Addr().String())
		if err != nil {
			return 0, err
		}
		reading.Go(func() {
			own := read(conn, begin)
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, own...)
		})
	}
	err = publish(srv, begin, duration)
	reading.Wait()
	if err == nil && slow && srv.Stats().SlowConsumers != 1 {
		err = errors.New("the client that never reads was not closed")
	}
	slices.Sort(latencies)
	return latencies[len(latencies)*99/100], err
}

// dial connects a client to the main namespace and waits until it has joined.
func dial(address string) (*websocket.Conn, error) {
	conn, response, err := websocket.DefaultDialer.Dial("ws://"+address+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		return nil, err
	}
	for range 2 { // the open packet, the reply to CONNECT
		if _, _, err := conn.ReadMessage(); err != nil {
			return nil, err
		}
	}
	return conn, nil
}

// publish emits 1,000 events a second, each with its time, and a last one.
func publish(srv *server.Server, begin time.Time, duration time.Duration) error {
	padding := strings.Repeat("x", 1000)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for time.Since(begin) < duration {
		<-tick.C
		if err := srv.To("room").Emit("msg", time.Since(begin).Nanoseconds(), padding); err != nil {
			return err
		}
	}
	return srv.To("room").Emit("end")
}

// read returns the latencies of all events until the last.
func read(conn *websocket.Conn, begin time.Time) (latencies []time.Duration) {
	defer func() { _ = conn.Close() }()
	for {
		_, data, err := conn.ReadMessage()
		now := time.Since(begin)
		rest, isEvent := strings.CutPrefix(string(data), `42["msg",`)
		if err != nil || string(data) == `42["end"]` {
			return latencies
		}
		if number, _, ok := strings.Cut(rest, ","); ok && isEvent {
			sent, _ := strconv.ParseInt(number, 10, 64)
			latencies = append(latencies, now-time.Duration(sent))
		}
	}
}

func median(values []time.Duration) time.Duration {
	slices.Sort(values)
	return values[len(values)/2]
}
