package main

import "testing"

// The namespace of the official admin UI exists only on a node that has credentials for it.
func TestServe_AdminUIIsThereOnlyWithCredentials(t *testing.T) {
	off := dial(t, startServe(t).address())
	off.Send(`0/admin,{"username":"operator","password":"0123456789abcdef"}`)
	off.Expect(`4/admin,{"message":"Invalid namespace"}`)

	on := dial(t, startServe(t, "--admin-ui-username", "operator", "--admin-ui-password", "0123456789abcdef").address())
	on.Send(`0/admin,{"username":"operator","password":"fedcba9876543210"}`)
	on.Expect(`4/admin,{"message":"invalid credentials"}`)
	on.Send(`0/admin,{"username":"operator","password":"0123456789abcdef"}`)
	on.next(`0/admin,{"sid":`)
	on.next(`2/admin,["config",`)
}

// What an operator may do and see is what the flags say.
func TestServe_AdminUIFeatures(t *testing.T) {
	login := []string{"--admin-ui-username", "operator", "--admin-ui-password", "0123456789abcdef"}
	for flag, want := range map[string]string{
		"--admin-ui-read-only":   `{"supportedFeatures":["AGGREGATED_EVENTS"]}`,
		"--admin-ui-development": `{"supportedFeatures":["AGGREGATED_EVENTS","EMIT","JOIN","LEAVE","DISCONNECT","MJOIN","MLEAVE","MDISCONNECT","ALL_EVENTS"]}`,
	} {
		c := dial(t, startServe(t, append(login, flag)...).address())
		c.Send(`0/admin,{"username":"operator","password":"0123456789abcdef"}`)
		if got := c.next(`2/admin,["config",`); got != want+"]" {
			t.Errorf("%s: got %s, want %s", flag, got, want)
		}
	}
}
