// Package registry is where a service's instances are found. The port is httpapi.Resolver, declared where it is used;
// its adapters are in the packages below, their suite is registrytest.
//
// static is a list that is written down, catalog a list kept in a store with a cache in front of it, and consul asks
// Consul, where instances register themselves and the dead are taken out.
package registry

import (
	"fmt"
	"net/url"
)

// CheckURLs says which of a service's URLs is no base URL: http or https with a host, without query and fragment, and
// without a password, since lists are shown and logged. The error repeats scheme and host at most: the rest, or what
// cannot be read at all, may hold a password.
func CheckURLs(service string, urls ...string) error {
	for _, raw := range urls {
		u, err := url.Parse(raw)
		switch {
		case err != nil, u.Hostname() == "", u.Scheme != "http" && u.Scheme != "https":
			return fmt.Errorf("instance of %s: a URL that is not a base URL such as http://host:port", service)
		case u.User != nil:
			return fmt.Errorf("instance of %s: the URL of %s://%s has a user in it", service, u.Scheme, u.Host)
		case u.RawQuery != "", u.Fragment != "":
			return fmt.Errorf("instance of %s: the URL of %s://%s is not a base URL: it has a query or a fragment", service, u.Scheme, u.Host)
		}
	}
	return nil
}
