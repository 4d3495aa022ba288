from recipelang.cli.start import main

main()
