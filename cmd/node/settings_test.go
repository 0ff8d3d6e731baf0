package main

import (
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// flagsOf returns the flags of a command.
func flagsOf(t *testing.T, command string) []*kong.Flag {
	t.Helper()
	parser, err := newParser(&commands{}, io.Discard, io.Discard, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range parser.Model.Children {
		if node.Name == command {
			return node.Flags
		}
	}
	t.Fatalf("there is no command %q", command)
	return nil
}

// badForms are texts that a form refuses.
var badForms = map[string][]string{
	"address":            {"localhost", "127.0.0.1:70000", "127.0.0.1:nothing"},
	"path":               {"socket.io", "/", "/socket.io"},
	"file":               {"missing.pem", "web"},
	"folder":             {"missing", "main.go"},
	"cookie-name":        {"a b", "a;b"},
	"cookie-path":        {"/;"},
	"cookie-domain":      {"a domain"},
	"authorities":        {"missing.pem", "main.go"},
	"key":                {"0123456789abcde"},
	"node-url":           {"10.0.0.7:3000", "http://host/path", "http://0.0.0.0:3000", "automatic"},
	"redis-url":          {"localhost:6379", "http://host"},
	"redis-cluster-url":  {"localhost:6379", "http://host"},
	"redis-sentinel-url": {"localhost:6379", "redis://host"},
}

// refused are values of a flag that its tags do not allow.
func refused(t *testing.T, flag *kong.Flag) []string {
	t.Helper()
	var values []string
	text := func(n int64) string {
		if _, isTime := flag.Target.Interface().(time.Duration); isTime {
			return time.Duration(n).String()
		}
		return strconv.FormatInt(n, 10)
	}
	if least := flag.Tag.Get(tagMin); least != "" {
		values = append(values, text(bound(flag.Target, least)-1))
	}
	if most := flag.Tag.Get(tagMax); most != "" {
		values = append(values, text(bound(flag.Target, most)+1))
	}
	if flag.Tag.Has(tagAllowed) {
		values = append(values, "nonsense")
	}
	if form := flag.Tag.Get(tagForm); form != "" {
		if len(badForms[form]) == 0 {
			t.Errorf("--%s has the form %q, of which this test knows nothing bad", flag.Name, form)
		}
		values = append(values, badForms[form]...)
	}
	return values
}

func TestFlags_ValuesThatAreNotAllowedAreRefusedByName(t *testing.T) {
	for _, name := range []string{"serve", "demo"} {
		for _, flag := range flagsOf(t, name) {
			for _, value := range refused(t, flag) {
				t.Run(name+"/"+flag.Name, func(t *testing.T) {
					line, variable := "node: --"+flag.Name+" ", "node: "+flag.Tag.Envs[0]
					if !flag.Tag.Has(tagSecret) {
						text := value
						if strings.Contains(text, " ") {
							text = strconv.Quote(text)
						}
						line += text + " "
						variable += "=" + text
					}
					wantRefusal(t, line+"must ", name, "--"+flag.Name+"="+value)
					t.Setenv(flag.Tag.Envs[0], value)
					wantRefusal(t, variable+" must ", name)
				})
			}
		}
	}
}

func TestFlags_WhatIsNoNumberIsRefusedByName(t *testing.T) {
	for _, flag := range flagsOf(t, "serve") {
		switch flag.Target.Kind() {
		case reflect.Int, reflect.Int64, reflect.Bool:
			code, _, errOut := command(t, "serve", "--"+flag.Name+"=7 apples")
			if code != exitUsage || !strings.Contains(errOut, "--"+flag.Name) || !strings.Contains(errOut, "7 apples") {
				t.Errorf("code %d, %q; want %d, the flag and the value", code, errOut, exitUsage)
			}
		}
	}
}

// wantRefusal runs a command line that is to be refused with a sentence that begins so.
func wantRefusal(t *testing.T, begin string, args ...string) {
	t.Helper()
	code, out, errOut := command(t, args...)
	if code != exitUsage || !strings.HasPrefix(errOut, begin) || out != "" {
		t.Errorf("%q: code %d, %q and %q; want %d and %q", args, code, errOut, out, exitUsage, begin)
	}
}

func TestFlags_DefaultsAreAllowed(t *testing.T) {
	for _, name := range []string{"serve", "demo"} {
		if code, _, errOut := command(t, name, "--listen", "127.0.0.1:0"); code != exitOK {
			t.Errorf("%s with nothing but defaults has code %d: %s", name, code, errOut)
		}
		for _, flag := range flagsOf(t, name) {
			if err := flag.Reset(); err != nil {
				t.Errorf("--%s: %v", flag.Name, err)
			} else if err := allowed(flag); err != nil && flag.HasDefault {
				t.Errorf("the default of --%s %v", flag.Name, err)
			}
		}
	}
}

// A flag that would change nothing is a misunderstanding.
func TestFlags_WithoutEffectAreRefused(t *testing.T) {
	for _, flag := range flagsOf(t, "serve") {
		if needed := flag.Tag.Get(tagNeeds); needed != "" {
			wantRefusal(t, "node: --"+flag.Name+" needs --"+needed, "serve", setting(flag, 0))
		}
		adapters := split(flag.Tag.Get(tagFor))
		if len(adapters) == 0 {
			continue
		}
		for _, adapter := range []string{adapterMemory, adapterPubSub, adapterSharded, adapterStreams} {
			args := []string{"serve", "--adapter", adapter}
			if adapter != adapterMemory {
				args = append(args, "--redis", "redis://host")
			}
			if needed := flag.Tag.Get(tagNeeds); needed != "" {
				continue
			}
			if !strings.Contains(flag.Tag.Get(tagFor), adapter) {
				wantRefusal(t, "node: --"+flag.Name+" is for ", append(args, setting(flag, 0))...)
			}
		}
	}
}

func TestFlags_SecretsAreMarked(t *testing.T) {
	secret := regexp.MustCompile(`(^|-)(key|secret|token|password|username)$|^redis(-cluster|-sentinel)?$`)
	for _, name := range []string{"serve", "demo"} {
		for _, flag := range flagsOf(t, name) {
			if secret.MatchString(flag.Name) && !flag.Tag.Has(tagSecret) && flag.Tag.Get(tagForm) != "file" {
				t.Errorf("--%s of %s looks like a secret and has no tag that says so", flag.Name, name)
			}
		}
	}
}
