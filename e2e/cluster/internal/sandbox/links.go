package sandbox

import (
	"flag"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// uplink is the name of the node's end of the cable.
const uplink = "uplink"

// links is a cable between the machine and the node, and the ways over it. The kernel removes all
// of it with the node's network namespace.
type links struct {
	name    string // of the machine's end
	machine string // address of the machine's end, with the length of the network's prefix
	node    string // address of the node's end, likewise
	pods    string // network of the pods, behind the node
}

func (l *links) define(flags *flag.FlagSet) {
	flags.StringVar(&l.name, "link", "", "the name of the network link on the machine")
	flags.StringVar(&l.machine, "machine-address", "", "the machine's address on it, like 198.18.0.1/24")
	flags.StringVar(&l.node, "node-address", "", "the node's address on it")
	flags.StringVar(&l.pods, "pods", "", "the network of the node's pods, like 198.19.0.0/24")
}

// connect ties the machine to the network namespace of a process. The machine reaches the node and
// its pods. These reach the machine's end of the link and nothing else: what is not there (the
// registry of an image) is unreachable at once.
func (l *links) connect(pid int) error {
	space, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer space.Close()
	cable := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: l.name},
		PeerName:      uplink,
		PeerNamespace: netlink.NsFd(space),
	}
	if err := netlink.LinkAdd(cable); err != nil {
		return fmt.Errorf("cannot add the link %s: %w", l.name, err)
	}
	machine, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer machine.Close()
	node, err := netlink.NewHandleAt(space)
	if err != nil {
		return err
	}
	defer node.Close()

	if err := bringUp(machine, l.name, l.machine); err != nil {
		return err
	}
	if err := bringUp(node, "lo", ""); err != nil {
		return err
	}
	if err := bringUp(node, uplink, l.node); err != nil {
		return err
	}
	return route(machine, l.pods, l.node)
}

// bringUp gives a link its address, if any, and puts it to work.
func bringUp(at *netlink.Handle, name, address string) error {
	link, err := at.LinkByName(name)
	if err != nil {
		return fmt.Errorf("no link %s: %w", name, err)
	}
	if address != "" {
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			return fmt.Errorf("%q is no address: %w", address, err)
		}
		if err := at.AddrAdd(link, parsed); err != nil {
			return fmt.Errorf("cannot give %s the address %s: %w", name, address, err)
		}
	}
	if err := at.LinkSetUp(link); err != nil {
		return fmt.Errorf("cannot bring up %s: %w", name, err)
	}
	return nil
}

// route sends what is meant for a network by way of a neighbour.
func route(at *netlink.Handle, network, neighbour string) error {
	_, to, err := net.ParseCIDR(network)
	if err != nil {
		return err
	}
	via, _, err := net.ParseCIDR(neighbour)
	if err != nil {
		return err
	}
	if err := at.RouteAdd(&netlink.Route{Dst: to, Gw: via}); err != nil {
		return fmt.Errorf("cannot route %s by way of %s: %w", network, via, err)
	}
	return nil
}
