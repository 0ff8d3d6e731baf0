package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/router"
)

// minKeyBytes is what the library asks of a key.
const minKeyBytes = 16

// hidden stands for a secret.
const hidden = "******"

// forms are what the text of a flag must be like, by the name that its tag has. What a
// form fails with is read behind the flag.
var forms = map[string]func(string) error{
	"address": func(text string) error {
		_, port, err := net.SplitHostPort(text)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		if err != nil {
			return errors.New("must be HOST:PORT, or :PORT for all addresses of this machine")
		}
		return nil
	},
	"path": func(text string) error {
		if len(text) < 2 || text[0] != '/' || text[len(text)-1] != '/' {
			return errors.New("must begin and end with a slash")
		}
		return nil
	},
	"file": func(text string) error {
		info, err := os.Stat(text)
		if err == nil && info.IsDir() {
			err = errors.New("is a folder")
		}
		if err != nil {
			return fmt.Errorf("must be a file that exists: %w", err)
		}
		return nil
	},
	"folder": func(text string) error {
		info, err := os.Stat(text)
		if err == nil && !info.IsDir() {
			err = errors.New("is a file")
		}
		if err != nil {
			return fmt.Errorf("must be a folder that exists: %w", err)
		}
		return nil
	},
	"cookie-name":   cookieForm(func(text string) http.Cookie { return http.Cookie{Name: text} }),
	"cookie-path":   cookieForm(func(text string) http.Cookie { return http.Cookie{Name: "io", Path: text} }),
	"cookie-domain": cookieForm(func(text string) http.Cookie { return http.Cookie{Name: "io", Domain: text} }),
	"authorities": func(text string) error {
		_, err := authorities(text)
		return err
	},
	"key": func(text string) error {
		if len(text) < minKeyBytes {
			return fmt.Errorf("must have at least %d characters", minKeyBytes)
		}
		return nil
	},
	"node-url": func(text string) error {
		if _, err := router.ParseAddress(text); err != nil && text != advertiseAuto {
			return errors.New("must be auto, or the URL of a host alone, such as http://10.0.0.7:3000")
		}
		return nil
	},
	"redis-url":          redisForm("redis://user:password@host:6379/0", parse(goredis.ParseURL)),
	"redis-cluster-url":  redisForm("redis://host:6379?addr=host2:6379", parse(goredis.ParseClusterURL)),
	"redis-sentinel-url": redisForm("redis://host:26379?master_name=NAME", parse(parseSentinelURL)),
}

// cookieForm is the form of a part of a cookie, which a browser would take.
func cookieForm(cookie func(string) http.Cookie) func(string) error {
	return func(text string) error {
		c := cookie(text)
		if err := c.Valid(); err != nil {
			return errors.New("must be what a cookie can have: " + strings.TrimPrefix(err.Error(), "http: "))
		}
		return nil
	}
}

// authorities reads the certificates of a file.
func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("must be a file with certificates (PEM): %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("must be a file with certificates (PEM), and there is none in it")
	}
	return pool, nil
}

// redisForm is the form of a URL that can be parsed.
func redisForm(example string, parse func(string) error) func(string) error {
	return func(text string) error {
		if err := parse(text); err != nil {
			return fmt.Errorf("must be a URL such as %s: %w", example, withoutURL(err))
		}
		return nil
	}
}

// parse keeps the error of a parser alone.
func parse[T any](parser func(string) (T, error)) func(string) error {
	return func(text string) error {
		_, err := parser(text)
		return err
	}
}

// parseSentinelURL is the library's function, for a URL that says whose Sentinels they are.
func parseSentinelURL(text string) (*goredis.FailoverOptions, error) {
	o, err := goredis.ParseFailoverURL(text)
	if err == nil && o.MasterName == "" {
		err = errors.New("the parameter master_name is missing")
	}
	return o, err
}

// withoutURL keeps the URL, which may hold a password, out of an error about it.
func withoutURL(err error) error {
	if _, ok := errors.AsType[*url.Error](err); ok {
		return errors.New("it is no URL; is everything special in the password escaped with %?")
	}
	return err
}

// withoutPassword hides the passwords of a Redis URL: the user's, and that of Redis
// behind Sentinels, which is a parameter. Text that is no URL is hidden as a whole.
func withoutPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return hidden
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), hidden)
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(name, "password") {
			q.Set(name, hidden)
		}
	}
	u.RawQuery = q.Encode()
	shown, err := url.PathUnescape(u.String()) // the asterisks
	if err != nil {
		return hidden
	}
	return shown
}
