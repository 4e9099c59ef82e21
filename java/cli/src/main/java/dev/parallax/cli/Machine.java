package dev.parallax.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What this machine is, read from /proc, /sys, /etc and /usr alone: nothing is loaded, opened for writing or run.
 *
 * <p>Every file may be missing, as on boards whose kernel leaves it out; what is not known is absent, never guessed.
 *
 * <p>Lifetime: a value; each question reads anew. Threads: any. Example: {@code new Machine(Path.of("/")).cores()}.
 *
 * @param root what stands for "/"; another folder in tests
 */
record Machine(Path root) {
    /** Cores of one kind, such as the four big ones of a board. */
    record Cores(String kind, List<Integer> cpus, long capacity, long maxKhz) {}

    /** A driver's manifest: the library it names, and whether that library is there. */
    record Driver(Path manifest, String library, boolean present) {}

    // Arm's and its licensees' "CPU implementer" and "CPU part", from their reference manuals.
    private static final Map<String, String> ARM_PARTS = Map.ofEntries(
            Map.entry("0x41/0xd03", "Cortex-A53"), Map.entry("0x41/0xd04", "Cortex-A35"),
            Map.entry("0x41/0xd05", "Cortex-A55"), Map.entry("0x41/0xd07", "Cortex-A57"),
            Map.entry("0x41/0xd08", "Cortex-A72"), Map.entry("0x41/0xd09", "Cortex-A73"),
            Map.entry("0x41/0xd0a", "Cortex-A75"), Map.entry("0x41/0xd0b", "Cortex-A76"),
            Map.entry("0x41/0xd0c", "Neoverse-N1"), Map.entry("0x41/0xd0d", "Cortex-A77"),
            Map.entry("0x41/0xd40", "Neoverse-V1"), Map.entry("0x41/0xd41", "Cortex-A78"),
            Map.entry("0x41/0xd42", "Cortex-A78AE"), Map.entry("0x41/0xd44", "Cortex-X1"),
            Map.entry("0x41/0xd46", "Cortex-A510"), Map.entry("0x41/0xd47", "Cortex-A710"),
            Map.entry("0x41/0xd48", "Cortex-X2"), Map.entry("0x41/0xd49", "Neoverse-N2"),
            Map.entry("0x41/0xd4b", "Cortex-A78C"), Map.entry("0x41/0xd4d", "Cortex-A715"),
            Map.entry("0x41/0xd4e", "Cortex-X3"), Map.entry("0x41/0xd4f", "Neoverse-V2"),
            Map.entry("0x41/0xd80", "Cortex-A520"), Map.entry("0x41/0xd81", "Cortex-A720"));

    /** What ONNX Runtime's kernels ask the CPU for, on either architecture. */
    private static final List<String> FEATURES = List.of("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
            "sme", "avx", "avx2", "f16c", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8");

    String operatingSystem() {
        return field("etc/os-release", "PRETTY_NAME=").map(s -> s.replace("\"", "")).orElse("unknown Linux");
    }

    String kernel() {
        return line("proc/sys/kernel/osrelease").orElse("unknown kernel");
    }

    /** The board's name, where the firmware tells it. */
    Optional<String> board() {
        return line("proc/device-tree/model").or(() -> line("sys/firmware/devicetree/base/model"))
                .map(s -> s.replace("\0", "").strip());
    }

    /** The board's name, or what its cores are called. */
    String processor() {
        return board().orElseGet(() -> {
            String kinds = cores().stream().map(Cores::kind).distinct().collect(Collectors.joining(" and "));
            return kinds.isEmpty() ? "unknown CPU" : kinds;
        });
    }

    /** Bytes of a memory page; 16 KB on some boards. */
    Optional<Long> pageBytes() {
        return field("proc/self/smaps", "KernelPageSize:").map(Machine::kiloBytes);
    }

    /** Cores grouped by kind, the strongest first. */
    List<Cores> cores() {
        Map<String, Cores> groups = new LinkedHashMap<>();
        String x86 = field("proc/cpuinfo", "model name").map(Machine::afterColon).orElse(null);
        for (Map.Entry<Integer, String> cpu : cpuParts().entrySet()) {
            String folder = "sys/devices/system/cpu/cpu" + cpu.getKey() + "/";
            long capacity = number(folder + "cpu_capacity").orElse(0L);
            long khz = number(folder + "cpufreq/cpuinfo_max_freq").orElse(0L);
            String kind = cpu.getValue() != null ? cpu.getValue() : x86 != null ? x86 : "unknown";
            groups.computeIfAbsent(kind + capacity + "/" + khz,
                    _ -> new Cores(kind, new ArrayList<>(), capacity, khz)).cpus().add(cpu.getKey());
        }
        return groups.values().stream()
                .sorted((a, b) -> a.capacity != b.capacity ? Long.compare(b.capacity, a.capacity)
                        : Long.compare(b.maxKhz, a.maxKhz))
                .toList();
    }

    /** Every core that is there, with its kind where cpuinfo tells one per core, as on ARM. */
    private Map<Integer, String> cpuParts() {
        Map<Integer, String> parts = new TreeMap<>();
        int cpu = -1;
        String implementer = "";
        for (String line : lines("proc/cpuinfo")) {
            if (line.startsWith("processor")) {
                try {
                    cpu = Integer.parseInt(afterColon(line));
                    parts.put(cpu, null);
                } catch (NumberFormatException e) {
                    cpu = -1; // old ARM kernels use the word for the CPU's name
                }
            } else if (line.startsWith("CPU implementer")) {
                implementer = afterColon(line);
            } else if (line.startsWith("CPU part") && cpu >= 0) {
                String id = implementer + "/" + afterColon(line);
                parts.put(cpu, ARM_PARTS.getOrDefault(id, "CPU " + id));
            }
        }
        return parts;
    }

    List<String> features() {
        List<String> all = lines("proc/cpuinfo").stream()
                .filter(l -> l.startsWith("flags") || l.startsWith("Features")).findFirst()
                .map(l -> List.of(afterColon(l).split(" "))).orElse(List.of());
        return FEATURES.stream().filter(all::contains).toList();
    }

    /** The frequency governor, such as "ondemand"; absent where the kernel does not scale. */
    Optional<String> governor() {
        return line("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    }

    /** Degrees Celsius of the hottest zone. */
    Optional<Double> temperature() {
        return list("sys/class/thermal").stream().filter(p -> p.getFileName().toString().startsWith("thermal_zone"))
                .flatMap(p -> number(root.relativize(p) + "/temp").stream()).map(t -> t / 1000.0)
                .max(Double::compare);
    }

    /** A row of /proc/meminfo in bytes, such as MemAvailable. */
    Optional<Long> memory(String row) {
        return field("proc/meminfo", row + ":").map(Machine::kiloBytes);
    }

    /** How many tasks ran or waited to run on average over the last 1, 5 and 15 minutes; empty if not known. */
    List<Double> loadAverage() {
        return line("proc/loadavg").map(l -> Stream.of(l.split(" ")).limit(3).map(Double::valueOf).toList())
                .orElse(List.of());
    }

    /** A row of this process's status in bytes, such as VmHWM. */
    Optional<Long> processMemory(String row) {
        return field("proc/self/status", row + ":").map(Machine::kiloBytes);
    }

    /**
     * Average share of time in percent that some task waited for the resource: cpu, memory or io; absent without PSI.
     */
    Optional<Double> pressure(String resource) {
        return field("proc/pressure/" + resource, "some avg10=").map(s -> Double.valueOf(s.split(" ")[0]));
    }

    // ---- control groups ----------------------------------------------------------------------------------------

    /** The tightest memory limit of this process's control groups in bytes; absent without one. */
    Optional<Long> memoryLimit() {
        return Stream.concat(
                groups("cgroup2", "").stream().flatMap(f -> number(f + "/memory.max").stream()),
                groups("cgroup", "memory").stream().flatMap(f -> number(f + "/memory.limit_in_bytes").stream()))
                .filter(bytes -> bytes < 1L << 60) // version 1 says "none" with a number near 2^63
                .min(Long::compare);
    }

    /** The tightest CPU limit of this process's control groups in cores; absent without one. */
    Optional<Double> cpuLimit() {
        Stream<Double> two = groups("cgroup2", "").stream().flatMap(f -> line(f + "/cpu.max").stream())
                .map(l -> l.split(" ")).filter(w -> w.length == 2 && !w[0].equals("max"))
                .map(w -> Double.parseDouble(w[0]) / Double.parseDouble(w[1]));
        Stream<Double> one = groups("cgroup", "cpu").stream().flatMap(f -> number(f + "/cpu.cfs_quota_us")
                .filter(quota -> quota > 0)
                .flatMap(quota -> number(f + "/cpu.cfs_period_us").map(period -> (double) quota / period)).stream());
        return Stream.concat(two, one).min(Double::compare);
    }

    /** "v2", "v1", "v1 and v2", or "none". */
    String groupVersions() {
        boolean one = !mounts("cgroup", "").isEmpty();
        boolean two = !mounts("cgroup2", "").isEmpty();
        return one && two ? "v1 and v2" : two ? "v2" : one ? "v1" : "none";
    }

    /** Folders, relative to the root, of this process's group and all above it. */
    private List<String> groups(String type, String controller) {
        List<String> folders = new ArrayList<>();
        for (String[] mount : mounts(type, controller)) {
            for (String line : lines("proc/self/cgroup")) { // "4:memory:/a/b", "0::/a/b"
                String[] parts = line.split(":", 3);
                boolean same = parts.length == 3 && (type.equals("cgroup2") ? parts[1].isEmpty()
                        : List.of(parts[1].split(",")).contains(controller));
                if (!same) {
                    continue;
                }
                // In a container the mount may show only the part of the tree below mount[0].
                String path = parts[2].startsWith(mount[0]) ? parts[2].substring(mount[0].length()) : parts[2];
                Path top = Path.of(mount[1]);
                Path group = top.resolve(path.replaceFirst("^/+", "")).normalize();
                for (Path p = group; p != null && p.startsWith(top); p = p.getParent()) {
                    folders.add(p.toString().replaceFirst("^/", ""));
                }
            }
        }
        return folders;
    }

    /** {root within the hierarchy, mount point} of every mount of the type that has the controller. */
    private List<String[]> mounts(String type, String controller) {
        List<String[]> found = new ArrayList<>();
        for (String line : lines("proc/self/mountinfo")) { // "36 35 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
            String[] halves = line.split(" - ", 2);
            String[] left = halves[0].split(" ");
            String[] right = halves.length == 2 ? halves[1].split(" ") : new String[0];
            if (left.length > 4 && right.length > 2 && right[0].equals(type)
                    && (controller.isEmpty() || List.of(right[2].split(",")).contains(controller))) {
                found.add(new String[] {left[3].equals("/") ? "" : left[3], left[4]});
            }
        }
        return found;
    }

    // ---- devices -----------------------------------------------------------------------------------------------

    /** OpenCL drivers that are declared to the loader. */
    List<Driver> openClDrivers() {
        return list("etc/OpenCL/vendors").stream().filter(p -> p.toString().endsWith(".icd"))
                .map(p -> driver(p, line(root.relativize(p).toString()).orElse(""))).toList();
    }

    /** Vulkan drivers that are declared to the loader. */
    List<Driver> vulkanDrivers() {
        Pattern library = Pattern.compile("\"library_path\"\\s*:\\s*\"([^\"]*)\"");
        return Stream.of("usr/share/vulkan/icd.d", "etc/vulkan/icd.d", "usr/local/share/vulkan/icd.d")
                .flatMap(f -> list(f).stream()).filter(p -> p.toString().endsWith(".json"))
                .map(p -> {
                    Matcher m = library.matcher(String.join("\n", lines(root.relativize(p).toString())));
                    return driver(p, m.find() ? m.group(1) : "");
                }).toList();
    }

    private Driver driver(Path manifest, String library) {
        boolean present = library.startsWith("/") ? Files.exists(root.resolve(library.substring(1)))
                : !library.isEmpty() && library(library).isPresent();
        return new Driver(manifest, library, present);
    }

    /** Where a shared library lies, looked for in the folders of the dynamic loader. */
    Optional<Path> library(String name) {
        List<String> folders = new ArrayList<>(List.of("usr/local/lib", "usr/lib", "lib", "usr/lib64", "lib64"));
        for (String base : List.of("usr/lib", "lib", "usr/local/lib")) {
            list(base).stream().filter(p -> p.getFileName().toString().matches("(aarch64|x86_64)-linux-gnu"))
                    .forEach(p -> folders.add(root.relativize(p).toString()));
        }
        for (Path conf : list("etc/ld.so.conf.d")) {
            lines(root.relativize(conf).toString()).stream().filter(l -> l.startsWith("/"))
                    .forEach(l -> folders.add(l.strip().substring(1)));
        }
        return folders.stream().map(f -> root.resolve(f).resolve(name)).filter(Files::exists).findFirst();
    }

    /** Device nodes of GPUs, such as /dev/dri/renderD128. */
    List<Path> gpuNodes() {
        return Stream.concat(list("dev/dri").stream().filter(p -> p.getFileName().toString().startsWith("renderD")),
                Stream.of("dev/mali0", "dev/kgsl-3d0", "dev/nvhost-gpu", "dev/nvidia0").map(root::resolve)
                        .filter(Files::exists)).toList();
    }

    // ---- reading -----------------------------------------------------------------------------------------------

    private List<String> lines(String file) {
        try {
            // Not readAllLines: some files of /proc and /sys are not UTF-8, and decoding must not fail on them.
            return new String(Files.readAllBytes(root.resolve(file)), StandardCharsets.UTF_8).lines()
                    .toList();
        } catch (IOException e) {
            return List.of();
        }
    }

    private Optional<String> line(String file) {
        return lines(file).stream().findFirst().map(String::strip).filter(s -> !s.isEmpty());
    }

    /** What follows the prefix on the first line that has it. */
    private Optional<String> field(String file, String prefix) {
        return lines(file).stream().filter(l -> l.startsWith(prefix)).findFirst()
                .map(l -> l.substring(prefix.length()).strip());
    }

    private Optional<Long> number(String file) {
        return line(file).filter(s -> s.matches("-?\\d{1,19}")).flatMap(s -> {
            try {
                return Optional.of(Long.parseLong(s));
            } catch (NumberFormatException e) {
                return Optional.empty(); // beyond 2^63: no limit that matters
            }
        });
    }

    private List<Path> list(String folder) {
        try (Stream<Path> entries = Files.list(root.resolve(folder))) {
            return entries.sorted().toList();
        } catch (IOException e) {
            return List.of();
        }
    }

    private static long kiloBytes(String text) {
        return Long.parseLong(text.replaceAll("\\D", "")) * 1024;
    }

    private static String afterColon(String line) {
        return line.substring(line.indexOf(':') + 1).strip();
    }
}
