package dev.parallax.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * The machine that numbers belong to.
 *
 * @param cpu its processor, or the board where the firmware names one
 * @param cores cores this process may use
 * @param architecture such as aarch64
 * @param kernel Linux's release
 * @param memoryBytes installed memory; 0 when not known
 */
record Host(String cpu, int cores, String architecture, String kernel, long memoryBytes) {
    /** This machine, as /proc and the firmware below {@code root} describe it. */
    static Host of(Path root) {
        String board = read(root.resolve("proc/device-tree/model")).replace("\0", "").strip();
        String info = read(root.resolve("proc/cpuinfo"));
        String model = field(info, "model name");
        String cpu = !board.isEmpty() ? board : !model.isEmpty() ? model : "unknown CPU";
        String memory = field(read(root.resolve("proc/meminfo")), "MemTotal").replaceAll("\\D", "");
        String arch = System.getProperty("os.arch");
        return new Host(cpu, Runtime.getRuntime().availableProcessors(), arch.equals("amd64") ? "x86_64" : arch,
                read(root.resolve("proc/sys/kernel/osrelease")).strip(),
                memory.isEmpty() ? 0 : Long.parseLong(memory) * 1024);
    }

    /** What machines alike have in common, as part of a file name: {@code x86_64-amd-epyc-2-cores}. */
    String machineClass() {
        String words = cpu.toLowerCase(Locale.ROOT).replaceAll("\\((r|tm)\\)|@.*", "").replaceAll("[^a-z0-9]+", "-");
        return architecture + "-" + words.replaceAll("^-|-$", "") + "-" + cores + (cores == 1 ? "-core" : "-cores");
    }

    /** For result files. */
    Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("cpu", cpu);
        map.put("cores", cores);
        map.put("architecture", architecture);
        map.put("kernel", kernel);
        map.put("memory_bytes", memoryBytes);
        return map;
    }

    private static String field(String text, String name) {
        return text.lines().filter(line -> line.startsWith(name)).findFirst()
                .map(line -> line.substring(line.indexOf(':') + 1).strip()).orElse("");
    }

    private static String read(Path file) {
        try {
            return new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
        } catch (IOException e) {
            return ""; // boards leave some of these out
        }
    }
}
