//go:build !linux

package scratch

import "syscall"

// attributes make the server leader of its own process group. Only Linux can
// let it die with us; elsewhere Sweep ends what a killed drill left.
func attributes(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: cred}
}
