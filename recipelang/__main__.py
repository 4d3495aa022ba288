from recipelang.cli.main import main

main()
