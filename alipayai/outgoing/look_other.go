//go:build !unix

package outgoing

import "errors"

const canLook = false

func nothingToRead(uintptr) bool { return false }

func readArrived(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

func setLowWater(uintptr, int) {}
