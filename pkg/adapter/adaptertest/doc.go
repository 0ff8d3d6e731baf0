// Package adaptertest is the conformance kit for backends: it holds an
// adapter.Adapter to every clause of the seam.
//
// A backend's whole test is a constructor and one call:
//
//	func TestConformance(t *testing.T) {
//		adaptertest.Run(t, adaptertest.Config{
//			New: func(t testing.TB) adapter.Adapter { return mybus.New(busURL(t)) },
//		})
//	}
//
// Each check is a subtest that names its rule when it fails. Checks of optional
// abilities of a link, such as adapter.RoomObserver, run when the backend has them
// and say why when they are skipped; those of adapter.RecoveryStore and
// adapter.TotalOrder are there only for an adapter that is one. Checks force the
// order of events instead of hoping for it, and every wait has a deadline. The kit
// needs nothing but the standard library, and is itself tested with an adapter
// broken on purpose for each check.
package adaptertest
