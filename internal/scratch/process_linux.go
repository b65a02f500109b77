package scratch

import "syscall"

// attributes make the server leader of its own process group, so that it can
// be killed with all that it started, and let it die with us.
func attributes(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: cred, Pdeathsig: syscall.SIGQUIT}
}
