// Command cluster is a program that README.md shows.
package main

import (
	"log"
	"net/http"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

func main() {
	client := goredis.NewClient(&goredis.Options{Addr: "localhost:6379"})
	bus, err := redis.New(client, redis.Options{})
	if err != nil {
		log.Fatal(err)
	}
	srv, err := server.New(server.Options{Adapter: bus})
	if err != nil {
		log.Fatal(err)
	}
	web := &http.Server{Addr: ":3000", Handler: srv}
	server.ConfigureHTTP(web)
	log.Fatal(web.ListenAndServe())
}
