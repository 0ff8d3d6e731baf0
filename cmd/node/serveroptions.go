package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/roomcast/roomcast/pkg/parser/msgpack"
	"github.com/roomcast/roomcast/pkg/server"
)

// options are the library's, without an adapter.
func (f *serverFlags) options(log *slog.Logger) server.Options {
	o := server.Options{Logger: log}
	f.Clients.set(&o)
	f.Browsers.set(&o)
	f.Times.set(&o)
	f.Limits.set(&o)
	f.Recovery.set(&o)
	f.Members.set(&o)
	if f.Endpoint.Client != "" {
		o.Client = os.DirFS(f.Endpoint.Client)
	}
	return o
}

func (f *clientFlags) set(o *server.Options) {
	o.Transports = f.Transports
	o.DisableUpgrades = f.DisableUpgrades
	o.HTTPCompressionThreshold = negativeIfZero(f.HTTPCompressionThreshold)
	if f.Parser == "msgpack" {
		o.Parser = msgpack.New()
	}
	if f.SlowConsumer == "drop-volatile" {
		o.SlowConsumer = server.DropVolatile
	}
	if f.PerMessageDeflate {
		o.PerMessageDeflate = &server.Deflate{Threshold: negativeIfZero(f.PerMessageDeflateThreshold)}
	}
}

func (f *browserFlags) set(o *server.Options) {
	if len(f.CORSOrigin) > 0 {
		o.CORS = &server.CORS{Origins: f.CORSOrigin, Credentials: f.CORSCredentials}
	}
	if f.Cookie != "" {
		sites := map[string]http.SameSite{"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode}
		o.Cookie = &http.Cookie{
			Name: f.Cookie, Path: f.CookiePath, Domain: f.CookieDomain, MaxAge: int(f.CookieMaxAge / time.Second),
			SameSite: sites[f.CookieSameSite], Secure: f.CookieSecure,
		}
	}
}

func (f *timeFlags) set(o *server.Options) {
	o.PingInterval = f.PingInterval
	o.PingTimeout = f.PingTimeout
	o.UpgradeTimeout = f.UpgradeTimeout
	o.ConnectTimeout = f.ConnectTimeout
	o.ReadBodyTimeout = f.ReadBodyTimeout
	o.WriteTimeout = f.WriteTimeout
	o.CloseTimeout = f.CloseTimeout
	o.AttachmentTimeout = f.AttachmentTimeout
	o.FragmentTimeout = f.FragmentTimeout
	o.ParkAfter = negativeIfZero(f.ParkAfter)
	o.ReleaseMemoryAfter = negativeIfZero(f.ReleaseMemoryAfter)
}

func (f *limitFlags) set(o *server.Options) {
	o.MaxPayload = f.MaxPayload
	o.MaxSendQueueBytes = f.MaxSendQueueBytes
	o.MaxConnections = f.MaxConnections
	o.MaxHandshakesPerSecond = f.MaxHandshakesPerSecond
	o.MaxConnectionAge = f.MaxConnectionAge
	o.MaxEventsInFlight = f.MaxEventsInFlight
	o.MaxEventBytesInFlight = f.MaxEventBytesInFlight
	o.MaxFragments = f.MaxFragments
	o.MaxAttachments = f.MaxAttachments
	o.MaxAttachmentBytes = f.MaxAttachmentBytes
	o.MaxJSONDepth = f.MaxJSONDepth
	o.MaxNamespacesPerConnection = negativeIfZero(f.MaxNamespacesPerConnection)
	o.MaxConnectAttempts = negativeIfZero(f.MaxConnectAttempts)
	o.MaxNamespaceLength = f.MaxNamespaceLength
	o.MaxDynamicNamespaces = negativeIfZero(f.MaxDynamicNamespaces)
	o.MaxRoomsPerSocket = negativeIfZero(f.MaxRoomsPerSocket)
	o.MaxPendingAcks = negativeIfZero(f.MaxPendingAcks)
}

func (f *recoveryFlags) set(o *server.Options) {
	if f.Recovery == 0 {
		return
	}
	o.Recovery = &server.Recovery{
		MaxDisconnectionDuration: f.Recovery, MaxRecords: f.RecoveryMaxRecords, MaxRecordBytes: f.RecoveryMaxRecordBytes,
		MaxPackets: f.RecoveryMaxPackets, MaxLogBytes: f.RecoveryMaxLogBytes, SkipMiddlewares: f.RecoverySkipMiddlewares,
	}
}

func (f *memberFlags) set(o *server.Options) {
	o.Application = f.Application
	o.Advertise = f.Advertise
	o.ClusterSecret = []byte(f.ClusterSecret)
	if f.ClusterCA != "" {
		o.ClusterAuthorities, _ = authorities(f.ClusterCA) // that it can be read is the flag's form
	}
	o.RequestTimeout = f.RequestTimeout
	o.HeartbeatInterval = f.HeartbeatInterval
	o.HeartbeatTimeout = f.HeartbeatTimeout
}

// negativeIfZero is a limit as the library has it, where zero stands for the default and
// less for none.
func negativeIfZero[T int | time.Duration](limit T) T {
	if limit == 0 {
		return -1
	}
	return limit
}

// check refuses combinations that cannot be carried out.
func (f *serverFlags) check(s settings) error {
	if f.Browsers.CORSCredentials && slices.Contains(f.Browsers.CORSOrigin, "*") {
		return fmt.Errorf("%s cannot be had with the origin '*': any page could act as its visitor; list the origins", s.name(s.find("cors-credentials")))
	}
	if m := f.Members; m.HeartbeatTimeout > 0 && m.HeartbeatTimeout <= m.HeartbeatInterval {
		return fmt.Errorf("%s must be more than --heartbeat-interval, which is %v", s.written(s.find("heartbeat-timeout")), m.HeartbeatInterval)
	}
	return nil
}
