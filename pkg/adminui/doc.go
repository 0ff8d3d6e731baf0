// Package adminui lets the official admin UI of Socket.IO show a cluster: the static page of
// the npm package @socket.io/admin-ui, which connects to the namespace "/admin" of any node
// like every other client.
//
// New returns a UI: its Observer goes into server.Options, Attach gives it the server that
// was made with it, and Run reports. All nodes have the same credentials, so that whoever
// logs in at one can go on at another.
//
//	ui, err := adminui.New(adminui.Options{Username: "admin", Password: secret})
//	srv, err := server.New(server.Options{Observer: ui.Observer()})
//	ui.Attach(srv)
//	running.Go(func() { ui.Run(ctx) })
//
// Nothing is sent while nobody looks. By default the page shows servers, namespaces and
// totals; with Options.Development also sockets, rooms and events, which is for a cluster
// with few of them. The page's own server must be an origin that server.Options.CORS allows.
//
// Ids of sessions are never shown, clients have a hash of theirs; of a client's headers
// those that are credentials are left out.
package adminui
