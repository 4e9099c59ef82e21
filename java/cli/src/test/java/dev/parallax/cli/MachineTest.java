package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** Machines made of files: a board with two kinds of cores, a container, an empty one. */
class MachineTest {
    @TempDir
    Path root;

    private Machine machine() {
        return new Machine(root);
    }

    private void file(String name, String content) throws IOException {
        Path file = root.resolve(name);
        Files.createDirectories(file.getParent());
        Files.writeString(file, content);
    }

    private void board() throws IOException {
        StringBuilder cpuinfo = new StringBuilder();
        for (int cpu = 0; cpu < 6; cpu++) {
            boolean big = cpu >= 4;
            cpuinfo.append("processor\t: ").append(cpu)
                    .append("\nFeatures\t: fp asimd asimddp crc32\nCPU implementer\t: 0x41\n")
                    .append("CPU part\t: ").append(big ? "0xd0b" : "0xd05").append("\n\n");
            file("sys/devices/system/cpu/cpu" + cpu + "/cpu_capacity", big ? "1024\n" : "446\n");
            file("sys/devices/system/cpu/cpu" + cpu + "/cpufreq/cpuinfo_max_freq", big ? "2400000\n" : "1800000\n");
        }
        file("proc/cpuinfo", cpuinfo.toString());
        file("proc/device-tree/model", "Some Board 5\0");
        file("proc/meminfo", "MemTotal:        8000000 kB\nMemAvailable:    5000000 kB\n");
        file("proc/self/smaps", "00400000-00401000 r-xp\nKernelPageSize:       16 kB\n");
        file("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
        file("sys/class/thermal/thermal_zone0/temp", "48500\n");
        file("sys/class/thermal/thermal_zone1/temp", "61250\n");
        file("etc/os-release", "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n");
    }

    @Test
    void tellsBigCoresFromSmallOnes() throws IOException {
        board();
        assertEquals(List.of(new Machine.Cores("Cortex-A76", List.of(4, 5), 1024, 2_400_000),
                new Machine.Cores("Cortex-A55", List.of(0, 1, 2, 3), 446, 1_800_000)), machine().cores());
        assertEquals(List.of("asimd", "asimddp"), machine().features());
    }

    @Test
    void readsTheRestOfTheBoard() throws IOException {
        board();
        assertEquals(Optional.of("Some Board 5"), machine().board());
        assertEquals("Debian GNU/Linux 13 (trixie)", machine().operatingSystem());
        assertEquals(Optional.of(16384L), machine().pageBytes());
        assertEquals(Optional.of(8_192_000_000L), machine().memory("MemTotal"));
        assertEquals(Optional.empty(), machine().memory("SwapTotal"));
        assertEquals(Optional.of(61.25), machine().temperature());
        assertEquals(Optional.empty(), machine().pressure("memory"));
        assertEquals("Some Board 5", machine().processor());
        file("proc/loadavg", "0.52 1.50 3.00 2/345 6789\n");
        assertEquals(List.of(0.52, 1.5, 3.0), machine().loadAverage());
        file("proc/self/status", "Name:\tx\nVmHWM:\t    2048 kB\nRssAnon:\t    1024 kB\n");
        assertEquals(Optional.of(2_097_152L), machine().processMemory("VmHWM"));
    }

    @Test
    void namesCoresOfAPcByTheirModel() throws IOException {
        file("proc/cpuinfo",
                "processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\n"
                + "model name\t: Fast CPU @ 3 GHz\nflags\t\t: fpu avx2 fma\n");
        assertEquals(List.of(new Machine.Cores("Fast CPU @ 3 GHz", List.of(0, 1), 0, 0)), machine().cores());
        assertEquals("Fast CPU @ 3 GHz", machine().processor());
        assertEquals(List.of("avx2", "fma"), machine().features());
    }

    @Test
    void findsTheTightestLimitOfControlGroupsVersion2() throws IOException {
        file("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
        file("proc/self/cgroup", "0::/user.slice/job.scope\n");
        file("sys/fs/cgroup/user.slice/job.scope/memory.max", "max\n");
        file("sys/fs/cgroup/user.slice/memory.max", "2147483648\n");
        file("sys/fs/cgroup/user.slice/job.scope/cpu.max", "150000 100000\n");
        file("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
        assertEquals(Optional.of(2147483648L), machine().memoryLimit());
        assertEquals(Optional.of(1.5), machine().cpuLimit());
        assertEquals("v2", machine().groupVersions());
    }

    @Test
    void findsTheTightestLimitOfControlGroupsVersion1() throws IOException {
        // As in a container: the mount shows the part of the tree below /docker/abc.
        file("proc/self/mountinfo", """
                35 34 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
                36 34 0:32 / /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct
                """);
        file("proc/self/cgroup", "4:memory:/docker/abc/job\n3:cpu,cpuacct:/\n1:name=systemd:/\n");
        file("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n");
        file("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
        file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
        file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
        assertEquals(Optional.of(536870912L), machine().memoryLimit());
        assertEquals(Optional.of(0.5), machine().cpuLimit());
        assertEquals("v1", machine().groupVersions());
    }

    @Test
    void findsDriversAndTheirLibraries() throws IOException {
        file("etc/OpenCL/vendors/pocl.icd", "libpocl.so.2\n");
        file("etc/OpenCL/vendors/gone.icd", "/opt/none/libmali.so\n");
        file("usr/lib/aarch64-linux-gnu/libpocl.so.2", "");
        file("etc/ld.so.conf.d/vendor.conf", "/opt/vendor/lib\n");
        file("opt/vendor/lib/libvulkan_vendor.so", "");
        file("usr/share/vulkan/icd.d/vendor.json", "{\"ICD\": {\n  \"library_path\" : \"libvulkan_vendor.so\" }}");
        Machine machine = machine();
        assertEquals(List.of(
                new Machine.Driver(root.resolve("etc/OpenCL/vendors/gone.icd"), "/opt/none/libmali.so", false),
                new Machine.Driver(root.resolve("etc/OpenCL/vendors/pocl.icd"), "libpocl.so.2", true)),
                machine.openClDrivers());
        assertEquals(List.of(new Machine.Driver(root.resolve("usr/share/vulkan/icd.d/vendor.json"),
                "libvulkan_vendor.so", true)),
                machine.vulkanDrivers());
        assertTrue(machine.library("libpocl.so.2").isPresent());
        assertFalse(machine.library("libOpenCL.so.1").isPresent());
    }

    @Test
    void anEmptyMachineIsNoError() {
        Machine machine = machine();
        assertEquals(List.of(), machine.cores());
        assertEquals(Optional.empty(), machine.memoryLimit());
        assertEquals(Optional.empty(), machine.cpuLimit());
        assertEquals("none", machine.groupVersions());
        assertEquals(List.of(), machine.openClDrivers());
        assertEquals(List.of(), machine.gpuNodes());
        assertEquals("unknown Linux", machine.operatingSystem());
        assertEquals("unknown CPU", machine.processor());
        assertEquals(List.of(), machine.loadAverage());
    }

    @Test
    void theDoctorTellsAllThat() throws IOException {
        board();
        file("etc/OpenCL/vendors/gone.icd", "/opt/none/libmali.so\n");
        Path json = root.resolve("findings.json");
        String text = doctor("--json", json.toString());
        assertTrue(text.contains("2 x Cortex-A76") && text.contains("cpu 4-5, capacity 1024, 2.40 GHz"), text);
        assertTrue(text.contains("Some Board 5") && text.contains("pages of 16 KB"), text);
        assertTrue(text.contains("the governor powersave keeps the cores slow"), text);
        assertTrue(text.contains("gone.icd -> /opt/none/libmali.so (missing)"), text);
        assertTrue(text.contains("install ocl-icd-libopencl1"), text);
        assertTrue(text.contains("install libvulkan1 and mesa-vulkan-drivers"), text);
        assertTrue(text.contains("add psi=1"), text);
        assertTrue(text.matches("(?s).*an adaptive budget follows +MemAvailable alone: no control group.*"), text);
        String written = Files.readString(json);
        assertTrue(written.contains("\"Cores\"") && written.contains("Cortex-A55") && written.contains("\"needed\""),
                written);
    }

    @Test
    void theDoctorTellsWhatAnAdaptiveBudgetFollows() throws IOException {
        assertTrue(doctor().matches("(?s).*an adaptive budget follows +nothing: .*"), "there is no meminfo");
        file("proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 7000000 kB\n");
        file("proc/pressure/memory", "some avg10=1.50 avg60=0.00 avg300=0.00 total=0\n");
        assertTrue(doctor().matches("(?s).*an adaptive budget follows +MemAvailable, pressure\n.*"), doctor());
        file("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n");
        file("proc/self/cgroup", "0::/a\n");
        file("sys/fs/cgroup/a/memory.max", "100000000\n");
        assertTrue(doctor().matches("(?s).*follows +MemAvailable, the control group's limit, pressure\n.*"), doctor());
    }

    private String doctor(String... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        PrintStream stream = new PrintStream(out, true);
        new CommandLine(new DoctorCommand(new Console(stream, stream, false), machine())).execute(args);
        return out.toString();
    }
}
