// Tells the time of places, by the time zones of the base, and how many authorities it trusts.
package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"time"
)

func main() {
	for _, name := range os.Args[1:] {
		zone, err := time.LoadLocation(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(time.Unix(1750000000, 0).In(zone).Format("15:04 MST"))
	}
	if pool, err := x509.SystemCertPool(); err == nil {
		fmt.Println("trusts nobody:", pool.Equal(x509.NewCertPool()))
	}
}
