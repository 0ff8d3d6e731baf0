package main

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/examples/internal/check"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestChat_WorksInThisRouter(t *testing.T) {
	chat, err := newChat()
	if err != nil {
		t.Fatal(err)
	}
	check.Chat(t, chat, routes(chat))
}

func TestRouter_LetsTheServerHaveTheConnection(t *testing.T) { check.Writer(t, routes) }
