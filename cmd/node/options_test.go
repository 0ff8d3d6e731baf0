package main

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

// withoutFlag are the options that no flag sets, each with its reason.
var withoutFlag = map[string]string{
	"server.Options.Adapter":           "made of --adapter and what belongs to it",
	"server.Options.Logger":            "made of --log-format and --log-level",
	"server.Options.AllowRequest":      "a function",
	"server.Options.Drained":           "a function",
	"server.Options.InitialHeaders":    "a function",
	"server.Options.Headers":           "a function",
	"server.Options.GenerateID":        "a function",
	"server.Options.OnConnectionError": "a function",
	"server.Options.Observer":          "functions",

	"server.Options.Cookie.Value":       "the session's id",
	"server.Options.Cookie.HttpOnly":    "always set",
	"server.Options.Cookie.Quoted":      "the session's id needs no quotes",
	"server.Options.Cookie.Expires":     "--cookie-max-age says it, and wins where both are",
	"server.Options.Cookie.RawExpires":  "of cookies that were read",
	"server.Options.Cookie.Partitioned": "for pages inside others, whose load balancers are not ours",
	"server.Options.Cookie.Raw":         "of cookies that were read",
	"server.Options.Cookie.Unparsed":    "of cookies that were read",

	"redis.Options.Logger": "made of --log-format and --log-level",

	"server.Options.ClusterAuthorities": "made of --cluster-ca",
}

// withoutOption are the flags that set no option, each with what it does instead, which
// has a test of its own.
var withoutOption = map[string]string{
	"listen":       "the listener",
	"tls-cert":     "the listener",
	"tls-key":      "the listener",
	"path":         "where the server is mounted",
	"drain":        "how the node stops",
	"check":        "it starts nothing",
	"admin-listen": "the admin listener",
	"admin-token":  "the admin listener",

	"admin-ui-username":    "the official admin UI",
	"admin-ui-password":    "the official admin UI",
	"admin-ui-read-only":   "the official admin UI",
	"admin-ui-development": "the official admin UI",

	"adapter":        "which adapter is made",
	"redis":          "the client",
	"redis-cluster":  "the client",
	"redis-sentinel": "the client",
	"redis-ca":       "the client",
	"cluster-ca":     "ClusterAuthorities, which cannot be compared",
	"log-format":     "the logger",
	"log-level":      "the logger",
}

// namedOtherwise are the flags that have not the name of their option.
var namedOtherwise = map[string]string{
	"nodejs":                        "redis.Options.NodeJS",
	"redis-hmac-key":                "redis.Options.HMACKey",
	"redis-max-message-bytes":       "redis.Options.MaxMessageBytes",
	"redis-publish-queue-bytes":     "redis.Options.PublishQueueBytes",
	"stream-sharded-pubsub":         "redis.StreamsOptions.ShardedPubSub",
	"recovery":                      "server.Options.Recovery.MaxDisconnectionDuration",
	"cors-origin":                   "server.Options.CORS.Origins",
	"cookie":                        "server.Options.Cookie.Name",
	"per-message-deflate":           "server.Options.PerMessageDeflate",
	"stream-name":                   "redis.StreamsOptions.StreamName",
	"stream-count":                  "redis.StreamsOptions.StreamCount",
	"stream-max-len":                "redis.StreamsOptions.MaxLen",
	"stream-max-age":                "redis.StreamsOptions.MaxAge",
	"stream-read-count":             "redis.StreamsOptions.ReadCount",
	"stream-block":                  "redis.StreamsOptions.Block",
	"stream-wait-replicas":          "redis.StreamsOptions.WaitReplicas",
	"stream-session-key-prefix":     "redis.StreamsOptions.SessionKeyPrefix",
	"per-message-deflate-threshold": "server.Options.PerMessageDeflate.Threshold",
	"http-compression-threshold":    "server.Options.HTTPCompressionThreshold",
}

// goodForms are two texts for each form that has not just any.
var goodForms = map[string][2]string{
	"path":     {"/a/", "/b/"},
	"file":     {"main.go", "demo.go"},
	"folder":   {"web", "web/assets"},
	"node-url": {"http://a:1", "http://b:1"},
	"key":      {"0123456789abcdef", "0123456789abcdeF"},

	"authorities": {"testdata/authority.pem", "testdata/authority.pem"},
}

// setting is a flag with one of two values, neither of which is its default.
func setting(flag *kong.Flag, which int) string {
	value := [2]string{"one", "two"}[which]
	switch flag.Target.Interface().(type) {
	case bool:
		return "--" + flag.Name
	case time.Duration:
		value = [2]string{"7s", "8s"}[which]
	case int, int64:
		value = [2]string{"7", "8"}[which]
	}
	if good, ok := goodForms[flag.Tag.Get(tagForm)]; ok {
		value = good[which]
	}
	if words := split(flag.Tag.Get(tagAllowed)); len(words) > 0 {
		words = slices.DeleteFunc(words, func(word string) bool { return word == flag.Default })
		value = words[which%len(words)]
	}
	return "--" + flag.Name + "=" + value
}

// prerequisites are the flags without which flag has no effect.
func prerequisites(flags []*kong.Flag, flag *kong.Flag) []string {
	var args []string
	if adapters := split(flag.Tag.Get(tagFor)); len(adapters) > 0 {
		args = append(args, "--adapter="+adapters[0])
		if adapters[0] != adapterMemory {
			args = append(args, "--redis=redis://host")
		}
	}
	for _, needed := range flags {
		if needed.Name == flag.Tag.Get(tagNeeds) {
			args = append(append(args, prerequisites(flags, needed)...), setting(needed, 0))
		}
	}
	return args
}

// optionsOf are all options of a command line for serve, by their paths.
func optionsOf(t *testing.T, args ...string) map[string]string {
	t.Helper()
	var c commands
	parser, err := newParser(&c, io.Discard, io.Discard, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	command, err := parser.Parse(append([]string{"serve"}, args...))
	if err == nil {
		err = check(command)
	}
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	log := slog.New(slog.DiscardHandler)
	fields := map[string]string{}
	for _, options := range []any{
		c.Serve.Server.options(log), c.Serve.Bus.pubSub(log), c.Serve.Bus.sharded(log), c.Serve.Bus.streams(log),
	} {
		v := reflect.ValueOf(options)
		addFields(fields, v.Type().String(), v)
	}
	return fields
}

// addFields adds the exported fields of a struct, also of those that it points to. What is
// embedded is looked at by itself.
func addFields(fields map[string]string, path string, v reflect.Value) {
	for i := range v.NumField() {
		field, name := v.Field(i), path+"."+v.Type().Field(i).Name
		switch {
		case v.Type().Field(i).Anonymous, !v.Type().Field(i).IsExported():
		case isStruct(field.Type()):
			fields[name] = "is there"
			if field.IsNil() {
				fields[name] = "is not there"
				field = reflect.New(field.Type().Elem())
			}
			addFields(fields, name, field.Elem())
		default:
			fields[name] = fmt.Sprintf("%#v", field.Interface())
		}
	}
}

// isStruct says whether a field points to options of its own.
func isStruct(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct &&
		t != reflect.TypeFor[*slog.Logger]() && t != reflect.TypeFor[*server.Observer]()
}

// changed are the fields that differ; of a struct that is new it is the struct.
func changed(before, after map[string]string) []string {
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		isNew := slices.ContainsFunc(fields, func(parent string) bool { return strings.HasPrefix(name, parent+".") })
		if before[name] != after[name] && !isNew {
			fields = append(fields, name)
		}
	}
	return fields
}

// optionOf finds the option that a flag sets, which is one, whatever the flag's value.
func optionOf(t *testing.T, flags []*kong.Flag, flag *kong.Flag) string {
	t.Helper()
	args := prerequisites(flags, flag)
	none, one := optionsOf(t, args...), optionsOf(t, append(args, setting(flag, 0))...)
	fields := changed(none, one)
	if _, isBool := flag.Target.Interface().(bool); !isBool && len(split(flag.Tag.Get(tagAllowed))) != 2 && len(fields) > 0 {
		fields = changed(one, optionsOf(t, append(args, setting(flag, 1))...))
	}
	switch len(fields) {
	case 0:
		return ""
	case 1:
		return fields[0]
	}
	t.Errorf("--%s changes several options: %v", flag.Name, fields)
	return fields[0]
}

func TestFlags_EachSetsTheOptionOfItsName(t *testing.T) {
	flags := flagsOf(t, "serve")
	for _, flag := range flags {
		if withoutOption[flag.Name] != "" {
			continue
		}
		option := optionOf(t, flags, flag)
		if option == "" {
			t.Errorf("--%s sets no option, and there is no reason for it", flag.Name)
		}
		want := namedOtherwise[flag.Name]
		if want == "" {
			want = strings.ReplaceAll(flag.Name, "-", "")
		}
		plain := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(option, "server.Options."), ".", ""))
		if option != "" && option != want && plain != want && strings.TrimPrefix(plain, "redisoptions") != want &&
			strings.TrimPrefix(plain, "redisshardedoptions") != want {
			t.Errorf("--%s sets the option %s, which its name does not say", flag.Name, option)
		}
	}
}

func TestFlags_EveryOptionHasOneOrAReason(t *testing.T) {
	flags := flagsOf(t, "serve")
	set := map[string]bool{}
	for _, flag := range flags {
		if withoutOption[flag.Name] == "" {
			set[optionOf(t, flags, flag)] = true
		}
	}
	fields := map[string]string{}
	for _, options := range []any{server.Options{}, redis.Options{}, redis.ShardedOptions{}, redis.StreamsOptions{}} {
		addFields(fields, reflect.TypeOf(options).String(), reflect.ValueOf(options))
	}
	for name := range fields {
		isParent := slices.ContainsFunc(slices.Collect(maps.Keys(set)), func(child string) bool { return strings.HasPrefix(child, name+".") })
		if reason := withoutFlag[name]; (set[name] || isParent) == (reason != "") {
			t.Errorf("%s has a flag: %t, and a reason for having none: %q", name, set[name], reason)
		}
	}
	for name := range withoutFlag {
		if _, exists := fields[name]; !exists {
			t.Errorf("%s, of which it is said why it has no flag, does not exist", name)
		}
	}
}

// What the command line says is read from the environment too.
func TestFlags_EnvironmentSaysTheSame(t *testing.T) {
	flags := flagsOf(t, "serve")
	for _, flag := range flags {
		if withoutOption[flag.Name] != "" {
			continue
		}
		t.Run(flag.Name, func(t *testing.T) {
			args := prerequisites(flags, flag)
			want := optionsOf(t, append(args, setting(flag, 0))...)
			_, value, hasValue := strings.Cut(setting(flag, 0), "=")
			if !hasValue {
				value = "true"
			}
			t.Setenv("ROOMCAST_"+strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_")), value)
			if got := optionsOf(t, args...); !maps.Equal(got, want) {
				t.Errorf("the environment changes %v, the command line does not", changed(want, got))
			}
		})
	}
}
