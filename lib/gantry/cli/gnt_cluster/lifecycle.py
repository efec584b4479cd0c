"""``gnt-cluster init`` and ``destroy``."""

from __future__ import annotations

from gantry.cli import bootstrap
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import run_opcode
from gantry.cli.option_values import (
    BOOLEAN,
    IDENTIFIED,
    IDENTIFIED_LISTS,
    INTEGER,
    KEY_VALUES,
    LIST,
    RATIO,
    TEXT,
    choice,
)
from gantry.cli.options import Option, negative_flag, parameters, value, value_or, values
from gantry.cli.standard_options import (
    BACKEND,
    DISK_STATE,
    DRY_RUN,
    HYPERVISOR_STATE,
    NODE_PARAMETERS,
    SECONDARY_ADDRESS,
    YES_DO_IT,
)

GLUSTER_DIRECTORY = "/var/run/ganeti/gluster"

INIT_OPTIONS: tuple[Option[object], ...] = (
    BACKEND,
    value("-C --candidate-pool-size", "candidate_pool_size", INTEGER, "number of candidates"),
    value("--enabled-hypervisors", "enabled_hypervisors", TEXT, "comma list of hypervisors"),
    value("--file-storage-dir", "file_storage_dir", TEXT, "where file disks are", "DIR"),
    values("-H --hypervisor-parameters", "hvparams", IDENTIFIED, "defaults, as NAME:key=value,..."),
    value("-m --mac-prefix", "mac_prefix", TEXT, "first three bytes of new MACs", "PREFIX"),
    value("--master-netdev", "master_netdev", TEXT, "interface of the master address", "NETDEV"),
    value("--master-netmask", "master_netmask", TEXT, "netmask of the master address", "NETMASK"),
    parameters("-N --nic-parameters", "nicparams", "defaults of network cards"),
    negative_flag("--no-etc-hosts", "modify_etc_hosts", "leave /etc/hosts as it is"),
    negative_flag("--no-ssh-init", "modify_ssh_setup", "leave the SSH setup as it is"),
    SECONDARY_ADDRESS,
    value("--vg-name", "vg_name", TEXT, "LVM volume group of plain and drbd disks", "VG"),
    value("--maintain-node-health", "maintain_node_health", BOOLEAN, "repair nodes", "yes|no"),
    value("--uid-pool", "uid_pool", TEXT, "user ids for guests, as ranges"),
    value("--drbd-usermode-helper", "drbd_helper", TEXT, "helper program of drbd"),
    value(
        "-I --default-iallocator",
        "default_iallocator",
        TEXT,
        "allocator of new instances",
        "<NAME>",
    ),
    value("--default-iallocator-params", "default_iallocator_params", KEY_VALUES, "its parameters"),
    value_or(
        "--primary-ip-version", "primary_ip_version", TEXT, "4", "version of addresses", "4|6"
    ),
    value("--prealloc-wipe-disks", "prealloc_wipe_disks", BOOLEAN, "wipe new disks", "yes|no"),
    NODE_PARAMETERS,
    value(
        "--shared-file-storage-dir",
        "shared_file_storage_dir",
        TEXT,
        "where sharedfile disks are",
        "SHAREDDIR",
    ),
    value(
        "--use-external-mip-script",
        "use_external_mip_script",
        BOOLEAN,
        "set the master address up by a script of yours",
        "yes|no",
    ),
    values("-D --disk-parameters", "diskparams", IDENTIFIED, "defaults, as TEMPLATE:key=value,..."),
    HYPERVISOR_STATE,
    DISK_STATE,
    value("--enabled-disk-templates", "enabled_disk_templates", TEXT, "comma list of templates"),
    value("--ipolicy-std-specs", "ipolicy_std_specs", KEY_VALUES, "size of a standard instance"),
    value_or(
        "--gluster-storage-dir",
        "gluster_storage_dir",
        TEXT,
        GLUSTER_DIRECTORY,
        "where gluster disks are",
        "GLUSTERDIR",
    ),
    value("--install-image", "install_image", TEXT, "image that installs operating systems"),
    value("--zeroing-image", "zeroing_image", TEXT, "image that writes zeroes to free space"),
    value("--compression-tools", "compression_tools", TEXT, "comma list of programs"),
    value("--user-shutdown", "enabled_user_shutdown", BOOLEAN, "guests may shut down themselves"),
    value("--ssh-key-bits", "ssh_key_bits", INTEGER, "length of SSH keys"),
    value("--ssh-key-type", "ssh_key_type", choice("ecdsa", "dsa", "rsa"), "type of SSH keys"),
    value(
        "--ipolicy-bounds-specs",
        "ipolicy_bounds_specs",
        IDENTIFIED_LISTS,
        "limits of instances, as min:key=value,.../max:key=value,...",
    ),
    value("--ipolicy-disk-templates", "ipolicy_disk_templates", LIST, "templates they may have"),
    value("--ipolicy-vcpu-ratio", "ipolicy_vcpu_ratio", RATIO, "virtual for each real processor"),
    value("--ipolicy-spindle-ratio", "ipolicy_spindle_ratio", RATIO, "uses for each spindle"),
    parameters("--specs-cpu-count", "ispecs_cpu_count", "min, max and std of processors"),
    parameters("--specs-disk-count", "ispecs_disk_count", "min, max and std of disks"),
    parameters("--specs-disk-size", "ispecs_disk_size", "min, max and std of a disk"),
    parameters("--specs-mem-size", "ispecs_mem_size", "min, max and std of memory"),
    parameters("--specs-nic-count", "ispecs_nic_count", "min, max and std of network cards"),
)
DESTROY_OPTIONS: tuple[Option[object], ...] = (YES_DO_IT, DRY_RUN)


def run_init(call: Invocation) -> int:
    """Make this machine the first node, and the master, of a new cluster."""
    arguments = {**call.options.by_dest(), "cluster_name": call.arguments[0]}
    return bootstrap.act("init_cluster", arguments)


def run_destroy(call: Invocation) -> int:
    """End the cluster: by a job, and then by stopping what runs here."""
    if not call.options[YES_DO_IT]:
        raise CommandError(
            "Destroying a cluster can not be undone; if you really mean it, give --yes-do-it"
        )
    master = run_opcode(call, call.opcode("OP_CLUSTER_DESTROY", {}))
    call.close()
    return bootstrap.act("destroy_cluster", {"master": master})


COMMANDS = (
    Command("destroy", run_destroy, (), DESTROY_OPTIONS),
    Command(
        "init",
        run_init,
        (Arguments("host", 1, 1),),
        INIT_OPTIONS,
        notes="More nodes: gantry token NODE here, then gantry join TOKEN on the new node.",
    ),
)
