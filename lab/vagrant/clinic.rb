# frozen_string_literal: true

require "fileutils"
require "yaml"

# The clinic as lab/clinic.yml describes it, in the words that Vagrant needs. Addresses are those of lab index 0, so that
# inventory/ fits the machines as it stands.
class Clinic
  PREFIX4 = "10.66"
  PREFIX6 = "fd66:0"
  CONSOLE = 1
  GATEWAY = 254
  RELEASES = { "bullseye" => 11, "bookworm" => 12, "trixie" => 13 }.freeze

  # One network card of a machine; `place` counts from 0 in the order of the machine's zones.
  Card = Struct.new(:place, :zone, :bridge, :ipv4, :ipv6, :mac)

  def initialize(top)
    @top = top
    @data = YAML.safe_load(File.read(File.join(top, "lab", "clinic.yml"), encoding: "UTF-8"))
    raise "lab/clinic.yml: schema is #{@data["schema"].inspect}; the Vagrantfile reads 1" unless @data["schema"] == 1
  end

  def machines
    @data.fetch("hosts")
  end

  # name => "bridge=console address=console IPv6 address", for zones.sh
  def zones
    @data.fetch("zones").map { |name, zone| "#{bridge(name)}=#{ipv4(zone, CONSOLE)}=#{ipv6(zone, CONSOLE)}" }
  end

  def bridge(zone)
    "mv-#{zone}"
  end

  def cards(name)
    host = machines.fetch(name)
    host.fetch("zones").each_with_index.map do |zone_name, place|
      zone = @data.fetch("zones").fetch(zone_name)
      number = host.fetch("number")
      mac = format("52:66:ff:%02x:00:%02x", zone.fetch("number"), number)
      Card.new(place, zone_name, bridge(zone_name), ipv4(zone, number), ipv6(zone, number), mac)
    end
  end

  # The way out of a machine's zone, nil for the gateway itself, which has none.
  def gateway(name)
    return nil if machines.fetch(name).fetch("kind") == "gateway"

    zone = @data.fetch("zones").fetch(machines.fetch(name).fetch("zones").first)
    { "ipv4" => ipv4(zone, GATEWAY), "ipv6" => ipv6(zone, GATEWAY) }
  end

  # A box for each release and layer: medsec/debian12, medsec/debian12-db. Built by `make box`, never downloaded.
  def box(name)
    host = machines.fetch(name)
    suite = host.fetch("suite", "bookworm")
    ["medsec/debian#{RELEASES.fetch(suite)}", host["layer"]].compact.join("-")
  end

  # Every address and name, as lines of /etc/hosts.
  def hosts_file
    machines.keys.flat_map { |name| cards(name).flat_map { |card| [[card.ipv4, name], [card.ipv6, name]] } }
            .map { |pair| pair.join(" ") }
  end

  # A copy of inventory/ without the addresses, which Vagrant's own inventory brings. What Vagrant itself comes from is
  # added to the management addresses of the ledger: a firewall that is built from it must not shut Vagrant out.
  def write_inventory(folder, management)
    @written ||= {}
    @written[folder] ||= copy_inventory(folder, management)
  end

  private

  def copy_inventory(folder, management)
    FileUtils.mkdir_p(folder)
    source = File.join(@top, "inventory")
    FileUtils.rm_rf(Dir.children(folder).map { |entry| File.join(folder, entry) })
    FileUtils.cp_r(File.join(source, "."), folder)
    edit(File.join(folder, "hosts.yml")) { |hosts| without_addresses(hosts) }
    edit(File.join(folder, "group_vars", "all", "ledger.yml")) do |all|
      all.fetch("ledger").fetch("address_sets").fetch("management").concat(management)
      all
    end
    folder
  end

  def edit(path)
    data = YAML.safe_load(File.read(path, encoding: "UTF-8"))
    File.write(path, YAML.dump(yield(data)))
  end

  def without_addresses(tree)
    return tree unless tree.is_a?(Hash)

    tree.reject { |key, _| key == "ansible_host" }.transform_values { |value| without_addresses(value) }
  end

  def ipv4(zone, number)
    "#{PREFIX4}.#{zone.fetch("number")}.#{number}"
  end

  def ipv6(zone, number)
    "#{PREFIX6}:#{zone.fetch("number")}::#{number}"
  end
end
