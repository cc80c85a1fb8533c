module skyrail/tests/interop

go 1.19

require (
	github.com/decred/dcrd/dcrec/secp256k1/v4 v4.2.0
	github.com/flynn/noise v1.1.0
	github.com/hashicorp/yamux v0.1.1
	github.com/xtaci/smux v1.5.24
)

require (
	golang.org/x/crypto v0.0.0-20210322153248-0c34fe9e7dc2 // indirect
	golang.org/x/sys v0.0.0-20201119102817-f84b799fce68 // indirect
)
