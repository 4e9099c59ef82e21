package dev.parallax.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.parallax.Accelerator;
import dev.parallax.Parallax;
import dev.parallax.ParallaxException;
import dev.parallax.Versions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * {@code plx doctor}: what is there, what is missing, what to install. Looks at files only; drivers are not loaded, and
 * a native core that cannot be loaded is a finding like any other.
 */
@Command(name = "doctor", mixinStandardHelpOptions = true,
        description = {"Looks at this machine: what is there, what is missing, what to install.",
            "Exit status 1 if something needed is missing."})
final class DoctorCommand implements Callable<Integer> {
    private static final int OLDEST_JAVA = 22;

    private final Console console;
    private final Machine machine;
    private final Map<String, Map<String, String>> sections = new LinkedHashMap<>();
    private final List<String> needed = new ArrayList<>();
    private final List<String> useful = new ArrayList<>();

    @Option(names = "--json", paramLabel = "FILE", description = "Write the findings there, too.")
    private Path json;

    DoctorCommand(Console console) {
        this(console, new Machine(Path.of("/")));
    }

    DoctorCommand(Console console, Machine machine) {
        this.console = console;
        this.machine = machine;
    }

    @Override
    public Integer call() {
        Console.checkWritable(json, "--json");
        system();
        cores();
        memory();
        engine();
        devices();
        caches();
        print();
        if (json != null) {
            console.writeJson(json, toJson());
        }
        return needed.isEmpty() ? 0 : Main.NO;
    }

    private void found(String section, String what, String value) {
        sections.computeIfAbsent(section, _ -> new LinkedHashMap<>()).put(what, value);
    }

    // ---- looking -----------------------------------------------------------------------------------------------

    private void system() {
        found("System", "operating system", machine.operatingSystem());
        machine.board().ifPresent(board -> found("System", "board", board));
        String arch = System.getProperty("os.arch");
        found("System", "kernel", machine.kernel() + ", " + arch
                + machine.pageBytes().map(b -> ", pages of " + b / 1024 + " KB").orElse(""));
        int java = Runtime.version().feature();
        found("System", "Java", Runtime.version() + ", " + System.getProperty("java.vendor") + ", "
                + System.getProperty("java.home"));
        if (java < OLDEST_JAVA) {
            needed.add("Java " + OLDEST_JAVA + " or newer instead of " + java + ": install openjdk-25-jdk-headless");
        }
        if (!arch.equals("amd64") && !arch.equals("aarch64")) {
            needed.add("a 64-bit ARM or x86 system instead of " + arch + ": there are kernels for no other");
        }
    }

    private void cores() {
        for (Machine.Cores cores : machine.cores()) {
            String what = cores.cpus().size() + " x " + cores.kind();
            List<String> more = new ArrayList<>();
            if (cores.capacity() > 0) {
                more.add("capacity " + cores.capacity());
            }
            if (cores.maxKhz() > 0) {
                more.add(String.format(Locale.ROOT, "%.2f GHz", cores.maxKhz() / 1e6));
            }
            found("Cores", what, "cpu " + ranges(cores.cpus())
                    + (more.isEmpty() ? "" : ", " + String.join(", ", more)));
        }
        int usable = Runtime.getRuntime().availableProcessors();
        found("Cores", "usable by this process", usable + machine.cpuLimit()
                .map(c -> String.format(Locale.ROOT, ", control group allows %.1f", c)).orElse(""));
        if (!machine.features().isEmpty()) {
            found("Cores", "instructions", String.join(" ", machine.features()));
        }
        machine.governor().ifPresent(g -> {
            found("Cores", "frequency governor", g);
            if (g.equals("powersave")) {
                useful.add("the governor powersave keeps the cores slow: echo schedutil | sudo tee "
                        + "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor");
            }
        });
        machine.temperature().ifPresent(t -> found("Cores", "hottest sensor", String.format(Locale.ROOT, "%.0f C", t)));
    }

    private void memory() {
        found("Memory", "total", machine.memory("MemTotal").map(Text::bytes).orElse("unknown"));
        found("Memory", "available", machine.memory("MemAvailable").map(Text::bytes).orElse("unknown"));
        found("Memory", "swap", machine.memory("SwapTotal").map(Text::bytes).orElse("unknown"));
        found("Memory", "control groups", machine.groupVersions()
                + machine.memoryLimit().map(b -> ", limit " + Text.bytes(b)).orElse(", no memory limit"));
        Optional<Double> pressure = machine.pressure("memory");
        found("Memory", "pressure (PSI)", pressure.map(p -> p + " % of the last 10 s waiting for memory")
                .orElse("not offered by this kernel"));
        found("Memory", "an adaptive budget follows", followed(pressure.isPresent()));
        if (pressure.isEmpty()) {
            useful.add("memory pressure is not offered: add psi=1 to the kernel's command line");
        }
    }

    /** What {@code --memory-budget adaptive} goes by here: board kernels often have neither control groups nor PSI. */
    private String followed(boolean pressure) {
        if (machine.memory("MemAvailable").isEmpty()) {
            return "nothing: this kernel does not tell MemAvailable; give bytes instead";
        }
        boolean limited = machine.memoryLimit().isPresent();
        return "MemAvailable" + (limited ? ", the control group's limit" : "") + (pressure ? ", pressure" : "")
                + (limited || pressure ? "" : " alone: no control group limits memory, and there is no PSI");
    }

    private void engine() {
        try {
            Versions v = Parallax.version();
            found("Engine", "Parallax", v.parallax() + ", abi " + v.abi() + ", " + v.compiler());
            found("Engine", "core", v.nativeLibrary().toString());
            found("Engine", "ONNX Runtime", v.onnxRuntime() + ", asked for api " + v.ortApi());
            found("Engine", "its library", v.ortLibrary().toString());
        } catch (ParallaxException | LinkageError e) {
            String reason = String.valueOf(e.getMessage()).replaceAll("\\s*\\R\\s*", " ");
            found("Engine", "Parallax", "cannot be loaded: " + reason);
            needed.add("the engine: " + reason);
        }
    }

    private void devices() {
        drivers("OpenCL", "libOpenCL.so.1", machine.openClDrivers(), "ocl-icd-libopencl1",
                "pocl-opencl-icd (runs on the CPU) or mesa-opencl-icd (Mesa's GPUs)");
        drivers("Vulkan", "libvulkan.so.1", machine.vulkanDrivers(), "libvulkan1", "mesa-vulkan-drivers");
        for (Accelerator a : accelerators()) {
            found("Devices", "--device " + a.device(), a.name() + ", " + a.driver()
                    + (a.sharesMemory() ? ", in the CPU's memory" : ", with memory of its own: " + Text.bytes(a.memoryBytes())));
        }
        List<Path> nodes = machine.gpuNodes();
        found("Devices", "GPU device files", nodes.isEmpty() ? "none"
                : nodes.stream().map(p -> p + (Files.isReadable(p) && Files.isWritable(p) ? "" : " (no access)"))
                        .collect(Collectors.joining(", ")));
        if (nodes.stream().anyMatch(p -> !Files.isReadable(p) || !Files.isWritable(p))) {
            useful.add("the GPU may not be opened by this user: sudo usermod -aG render,video $USER, then log in anew");
        }
    }

    /** None if the engine cannot be loaded, which is told elsewhere. */
    private static List<Accelerator> accelerators() {
        try {
            return Parallax.accelerators().devices();
        } catch (ParallaxException | LinkageError e) {
            return List.of();
        }
    }

    private void drivers(String api, String loaderName, List<Machine.Driver> drivers, String loaderPackage,
            String driverPackages) {
        Optional<Path> loader = machine.library(loaderName);
        found("Devices", api + " loader", loader.map(Path::toString).orElse("none"));
        found("Devices", api + " drivers", drivers.isEmpty() ? "none" : drivers.stream()
                .map(d -> d.manifest().getFileName() + " -> " + d.library() + (d.present() ? "" : " (missing)"))
                .collect(Collectors.joining(", ")));
        if (loader.isEmpty() || drivers.isEmpty()) {
            useful.add("no " + api + ", so no device is used through it: install "
                    + Stream.of(loader.isEmpty() ? loaderPackage : "", drivers.isEmpty() ? driverPackages : "")
                            .filter(s -> !s.isEmpty()).collect(Collectors.joining(" and ")));
        }
        drivers.stream().filter(d -> !d.present()).forEach(d -> useful.add(api + " driver " + d.manifest()
                + " names " + d.library() + ", which is not there: reinstall its package"));
    }

    private void caches() {
        for (Map.Entry<String, Path> cache : Caches.all().entrySet()) {
            found("Caches", cache.getKey(), cache.getValue() + describe(cache.getValue()));
        }
    }

    private static String describe(Path folder) {
        if (!Files.isDirectory(folder)) {
            return " (empty)";
        }
        try (Stream<Path> files = Files.walk(folder)) {
            long bytes = files.filter(Files::isRegularFile).mapToLong(f -> f.toFile().length()).sum();
            return " (" + Text.bytes(bytes) + ")";
        } catch (IOException | java.io.UncheckedIOException e) {
            return " (not readable)";
        }
    }

    /** 0,1,2,3,6 is "0-3,6". */
    private static String ranges(List<Integer> numbers) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < numbers.size();) {
            int end = i;
            while (end + 1 < numbers.size() && numbers.get(end + 1) == numbers.get(end) + 1) {
                end++;
            }
            text.append(text.isEmpty() ? "" : ",").append(numbers.get(i)).append(end > i ? "-" + numbers.get(end) : "");
            i = end + 1;
        }
        return text.toString();
    }

    // ---- telling -----------------------------------------------------------------------------------------------

    private void print() {
        int width = sections.values().stream().flatMap(s -> s.keySet().stream()).mapToInt(String::length).max()
                .orElse(0);
        sections.forEach((title, entries) -> {
            console.out().println(title);
            entries.forEach((what, value) -> console.out()
                    .println("  " + what + " ".repeat(width - what.length() + 2) + value));
        });
        console.out().println();
        needed.forEach(n -> console.out().println("Needed: " + n));
        useful.forEach(u -> console.out().println("Useful: " + u));
        console.out().println(needed.isEmpty() ? "Everything needed is there."
                : Text.count(needed.size(), "thing") + " needed and missing.");
    }

    private JsonObject toJson() {
        JsonObject all = new JsonObject();
        sections.forEach((title, entries) -> {
            JsonObject section = new JsonObject();
            entries.forEach(section::addProperty);
            all.add(title, section);
        });
        all.add("needed", array(needed));
        all.add("useful", array(useful));
        return all;
    }

    private static JsonArray array(List<String> strings) {
        JsonArray array = new JsonArray();
        strings.forEach(array::add);
        return array;
    }
}
