package main

import (
	"log/slog"

	"github.com/roomcast/roomcast/internal/admin"
	"github.com/roomcast/roomcast/pkg/adminui"
)

// adminUIFlags say who may log in with the official admin UI of Socket.IO.
type adminUIFlags struct {
	Username    string `placeholder:"NAME" secret:"all" needs:"admin-ui-password" help:"Let the official admin UI (npm package @socket.io/admin-ui) connect to the namespace /admin of the public listener, with this name. Default: off; there is no such namespace."`
	Password    string `placeholder:"PASSWORD" form:"key" secret:"all" needs:"admin-ui-username" help:"And with this password. 16 characters or more, the same on all nodes. Set it in the environment: a command line can be seen by other users."`
	ReadOnly    bool   `needs:"admin-ui-username" help:"Without actions: emit, join, leave, disconnect."`
	Development bool   `needs:"admin-ui-username" help:"Also show all sockets, rooms and events, of up to 1,000 sockets a node."`
}

// open returns what serves the admin UI, or nil when it is off.
func (f *adminUIFlags) open(log *slog.Logger) (*adminui.UI, error) {
	if f.Username == "" {
		return nil, nil
	}
	return adminui.New(adminui.Options{
		Username: f.Username, Password: f.Password, ReadOnly: f.ReadOnly, Development: f.Development,
		Hidden: []string{admin.Topic}, Logger: log,
	})
}
